"""A client as light as asyncio allows: raw HTTP over a socket, a time stamp for each token that arrives.

It shares the processor with what it measures: nearstream.AsyncClient, which parses every event, would take a
good part of it. Requests are signed by the client's own code.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import cast

from benchmarks.token_path.figures import Trace

# Every event of the TGI wire starts so, inside an event stream part as well.
MARK = b"data:"
# The last chunk of a chunked body, after the one before it.
END = b"\r\n0\r\n\r\n"


class _Stream(asyncio.Protocol):
    def __init__(self, request: bytes, done: asyncio.Future[Trace]) -> None:
        self._request = request
        self._done = done
        self._head = b""
        self._tail = b""
        self._ending = b""
        self._times: list[float] = []
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self._head:
            self._head = data[:200]
        window = self._tail + data
        self._times.extend([now] * window.count(MARK))
        self._tail = window[-(len(MARK) - 1) :]
        self._ending = (self._ending + data)[-len(END) :]
        if self._ending == END:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._done.done():
            return
        if not self._times or b" 200 " not in self._head[:20]:
            self._done.set_exception(RuntimeError(f"no stream came: {self._head!r}"))
        else:
            self._done.set_result(Trace(self._sent, tuple(self._times)))


async def one(address: str | tuple[str, int], request: bytes) -> Trace:
    """Send one request to a Unix socket or a (host, port) and read its stream to the end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Trace] = loop.create_future()

    def protocol() -> _Stream:
        return _Stream(request, done)

    if isinstance(address, str):
        await loop.create_unix_connection(protocol, address)
    else:
        await loop.create_connection(protocol, *address)
    return await done


async def many(
    address: str | tuple[str, int], make: Callable[[str], bytes], prompts: Sequence[str], *, streams: int
) -> list[Trace]:
    """All prompts, `streams` of them at once."""
    waiting = list(reversed(prompts))
    traces: list[Trace] = []

    async def worker() -> None:
        while waiting:
            traces.append(await one(address, make(waiting.pop())))

    async with asyncio.TaskGroup() as group:
        for _ in range(streams):
            group.create_task(worker())
    return traces
