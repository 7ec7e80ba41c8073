"""Memory of a server over time: its two processes, and what the kernel holds for TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1 << 20
_EVERY_S = 0.5
_SOCKETS = Path("/proc/net/sockstat")
_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Sample:
    """One look, in MiB. The engine's process grows by the pages of its KV cache that tokens have filled."""

    at_s: float
    server: float
    engine: float
    tcp_buffers: float


@asynccontextmanager
async def watched(pid: int) -> AsyncIterator[list[Sample]]:
    """Look twice a second while the block runs; `pid` is the server's, its one child is the engine."""
    server = psutil.Process(pid)
    (engine,) = server.children()
    clock, samples = asyncio.get_running_loop().time, list[Sample]()
    began_s = clock()

    async def look() -> None:
        while True:
            ours, its = (process.memory_info().rss / MIB for process in (server, engine))
            samples.append(Sample(clock() - began_s, ours, its, _tcp_buffers()))
            await asyncio.sleep(_EVERY_S)

    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(look())
        yield samples
        looking.cancel()


def _tcp_buffers() -> float:
    """All of this machine's, which is all that there is to know."""
    if not _SOCKETS.exists():
        return 0.0
    (words,) = (line.split() for line in _SOCKETS.read_text().splitlines() if line.startswith("TCP:"))
    return int(words[words.index("mem") + 1]) * _PAGE_BYTES / MIB
