"""`nearstream logs`: what the replicas of an endpoint wrote."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Annotated

from cyclopts import Parameter

from nearstream.cli.options import EndpointArgument, HomeOption, site
from nearstream.compose.site import replica_logs
from nearstream.core.errors import Missing
from nearstream.core.ports import ReplicaLog, ReplicaLogs

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

    async def run() -> None:
        source = replica_logs(place)
        found = await source.logs(endpoint)
        if not found:
            raise Missing(f"There are no logs of an endpoint {endpoint!r} under {place.logs}.")
        ends = {log.name: await _show_end(source, log, lines) for log in found}
        while follow:
            if not await _show_more(source, endpoint, ends):
                await asyncio.sleep(POLL_S)

    asyncio.run(run())


async def _show_end(source: ReplicaLogs, log: ReplicaLog, lines: int) -> int:
    """Print the last lines of a log; where it ended."""
    print(f"==> {log.name} <==")
    last: deque[bytes] = deque(maxlen=lines)
    at, rest = 0, b""
    while piece := await source.read(log, start=at):
        at += len(piece)
        *whole, rest = (rest + piece).split(b"\n")
        last.extend(line + b"\n" for line in whole)
    last.extend([rest] if rest else [])
    print(b"".join(last).decode(errors="replace") + ("\n" if rest else ""), end="", flush=True)
    return at


async def _show_more(source: ReplicaLogs, endpoint: str, ends: dict[str, int]) -> bool:
    """Print what was written since `ends`, and move them on; whether anything was."""
    grew = False
    for log in await source.logs(endpoint):
        at = ends.get(log.name, 0)
        at = at if log.size_bytes >= at else 0  # it was rotated
        piece = await source.read(log, start=at)
        print(piece.decode(errors="replace"), end="", flush=True)
        ends[log.name] = at + len(piece)
        grew = grew or bool(piece)
    return grew
