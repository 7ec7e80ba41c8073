"""`nearstream logs`: what the replicas of an endpoint wrote."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Annotated, BinaryIO, cast

from cyclopts import Parameter

from nearstream.cli.options import EndpointArgument, HomeOption, site
from nearstream.core.errors import Missing

POLL_S = 0.2


def logs(
    endpoint: EndpointArgument,
    *,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative=(), help="Wait for more.")] = False,
    lines: Annotated[int, Parameter(name=("--lines", "-n"), help="Lines from the end of each file.")] = 100,
    home: HomeOption = None,
) -> None:
    """Print the container logs of an endpoint, newest replica last."""
    _, place = site(home)
    folder = place.logs / endpoint
    files = _files(folder)
    if not files:
        raise Missing(f"There are no logs of an endpoint {endpoint!r} under {place.logs}.")
    followed: dict[Path, BinaryIO] = {}
    for path in files:
        print(f"==> {path.relative_to(place.logs)} <==")
        file = cast("BinaryIO", path.open("rb"))
        for line in deque(file, maxlen=lines):
            print(line.decode(errors="replace"), end="")
        followed[path] = file
    while follow:
        grew = False
        for path in _files(folder):
            file = followed.get(path) or followed.setdefault(path, path.open("rb"))
            for line in file:
                grew = True
                print(line.decode(errors="replace"), end="", flush=True)
        if not grew:
            time.sleep(POLL_S)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.log"), key=lambda path: path.stat().st_mtime)
