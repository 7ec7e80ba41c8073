"""A model server, started as a user starts it: `nearstream serve` in a process, on a free port."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.site import START_TIMEOUT_S
from tests.support.waiting import eventually


@contextmanager
def served(folder: Path, *options: str, model: str = "builtin", **variables: str) -> Iterator[str]:
    """Its URL, once it is ready. `folder` takes its home and its log, `variables` go to its environment."""
    port, log = free_port(), folder / "serve.log"
    environ = os.environ | {"HOME": str(folder), "NEARSTREAM_HOME": str(folder / "home")} | variables
    command = [sys.executable, "-m", "nearstream", "serve", model, "--port", str(port), *options]
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environ, stdout=output, stderr=output)
    try:
        eventually(
            lambda: process.poll() is not None or "event=ready" in log.read_text(),
            "the model server is ready",
            within_s=START_TIMEOUT_S,
        )
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
