"""The servers that are compared, each started as its own command says, one at a time."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.http_server import peer
from nearstream.models.builtin import builtin_path

MAX_NEW_TOKENS = 64
_START_S = 180.0


@dataclass(frozen=True, slots=True)
class Server:
    """How to start one. `options` are added to each body: what makes it say how many tokens it made."""

    name: str
    words: tuple[str, ...]
    options: tuple[tuple[str, object], ...] = ()

    def body(self, prompt: str) -> dict[str, object]:
        """One greedy call; the keys that both servers know."""
        return {
            "model": "builtin",
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": MAX_NEW_TOKENS,
            "temperature": 0,
            "stream": True,
            **dict(self.options),
        }


def servers() -> tuple[Server, ...]:
    """Ours first. In 32 bits the peer is faster on CPUs than in the 16 of its weights."""
    model = str(builtin_path())
    theirs = (str(peer.python()), "-m", "transformers.cli.transformers", "serve", model, "--dtype", "float32")
    usage = ("stream_options", {"include_usage": True})
    return (
        Server("nearstream", (sys.executable, "-m", "nearstream", "serve"), (usage,)),
        Server("transformers", theirs),
        Server("transformers, continuous batching", (*theirs, "--continuous-batching")),
    )


@contextmanager
def running(server: Server) -> Iterator[tuple[int, int]]:
    """Start it, wait until it is healthy, give its port and process; it is gone when the block is left."""
    port = _free_port()
    command = [*server.words, "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}  # noqa: TID251 - the peer is not to ask its hub
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            if not _healthy(port, process):
                log.seek(0)
                raise SystemExit(
                    f"{server.name} did not start: {log.read()[-2000:].decode(errors='replace')}"
                )
            yield port, process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _healthy(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == http.client.OK:
                return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
