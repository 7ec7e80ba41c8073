"""What faults are made with: raw sockets, and servers in processes with few descriptors."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from tests.support.ports import free_port
from tests.support.waiting import eventually

ANSWER_S = 30.0


def exchange(port: int, sent: bytes, *, within_s: float = ANSWER_S) -> bytes:
    """All that a server answers to some bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=within_s) as client:
        client.sendall(sent)
        return received(client)


def received(client: socket.socket) -> bytes:
    """What comes until the connection is closed; a reset ends it too."""
    pieces: list[bytes] = []
    try:
        while piece := client.recv(65536):
            pieces.append(piece)
    except ConnectionError:
        pass
    return b"".join(pieces)


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A request that ends its connection."""
    fields = [
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join([f"POST {path} HTTP/1.1", *fields, *headers, "", ""]).encode() + body


@contextmanager
def idle_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connections that send nothing."""
    ours, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(ours, min(hard, 4096)), hard))
    with ExitStack() as held:
        yield [
            held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S))
            for _ in range(count)
        ]


@contextmanager
def with_few_descriptors(*words: str, log: Path, limit: int = 256) -> Iterator[subprocess.Popen[bytes]]:
    """A nearstream command that may have `limit` descriptors open; killed with the block if it still runs."""
    command = f"ulimit -n {limit}; exec {sys.executable} -m nearstream {' '.join(words)}"
    with log.open("wb") as output, subprocess.Popen(
        ["bash", "-c", command], stdout=output, stderr=subprocess.STDOUT, env=dict(os.environ)
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()


@contextmanager
def model_server(log: Path, *words: str, limit: int = 256) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`nearstream serve` once it is ready."""
    port = free_port()
    with with_few_descriptors(
        "serve", "builtin", "--port", str(port), *words, log=log, limit=limit
    ) as process:
        eventually(lambda: is_ready(port) or process.poll() is not None, "the server is ready")
        assert process.poll() is None, log.read_text()
        yield port, process


def is_ready(port: int) -> bool:
    try:
        return exchange(
            port, b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        ).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def seconds_to_end(process: subprocess.Popen[bytes], *, within_s: float) -> float:
    """How long a process takes to end at SIGTERM."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(within_s)
    return time.monotonic() - began
