"""A client of OpenAI's streamed chat: raw HTTP over a socket; times of the first text and of the end.

It shares the processor with what it measures: nearstream.AsyncClient, which parses every event, would take a
good part of it.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

# The first delta with text in it: a server may send one with the role alone before there is a token.
_TEXT = re.compile(rb'"content": ?"[^"]')
_MADE = re.compile(rb'"completion_tokens": ?(\d+)')
_END = b"\r\n0\r\n\r\n"
_LONGEST_MARK = len(b'"content": "x')
_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Call:
    """One answered call, in seconds of one clock; `made` is the server's own count of tokens."""

    sent: float
    first: float
    last: float
    made: int


class _Stream(asyncio.Protocol):
    def __init__(self, request: bytes, done: asyncio.Future[Call]) -> None:
        self._request = request
        self._done = done
        self._seen = b""
        self._sent = 0.0
        self._first = 0.0
        self._last = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._last = time.perf_counter()
        searched = max(len(self._seen) - _LONGEST_MARK, 0)
        self._seen += data
        if not self._first and _TEXT.search(self._seen, searched):
            self._first = self._last
        if self._seen.endswith(_END):
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._done.done():
            return
        made = _MADE.findall(self._seen)
        if b" 200 " not in self._seen[:20] or not (self._first and made and self._seen.endswith(_END)):
            self._done.set_exception(RuntimeError(f"no whole answer came: {self._seen[-300:]!r}"))
        else:
            self._done.set_result(Call(self._sent, self._first, self._last, int(made[-1])))


def request(port: int, body: dict[str, object]) -> bytes:
    """A call on a connection of its own."""
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    )
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


async def many(port: int, bodies: Sequence[dict[str, object]], *, streams: int) -> list[Call]:
    """All bodies, `streams` of them at once. Raises RuntimeError for an answer that is not whole."""
    loop, waiting, calls = asyncio.get_running_loop(), list(reversed(bodies)), list[Call]()

    async def one() -> None:
        while waiting:
            done: asyncio.Future[Call] = loop.create_future()
            data = request(port, waiting.pop())
            async with asyncio.timeout(_TIMEOUT_S):
                await loop.create_connection(lambda: _Stream(data, done), "127.0.0.1", port)  # noqa: B023
                calls.append(await done)

    async with asyncio.TaskGroup() as group:
        for _ in range(streams):
            group.create_task(one())
    return calls
