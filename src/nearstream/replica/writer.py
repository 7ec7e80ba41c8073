"""Writes a streamed response: one event, one chunk; a client that stops reading loses its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress

from aiohttp import web

from nearstream.core.ports import Payload
from nearstream.wire.framing import sse

# An empty buffer takes this much at once: it is sent without a timer.
_UNTIMED_BYTES = 1 << 14


class ResponseWriter:
    """Writes to one client; the first write opens the stream.

    A slow reader makes `write` and `close` wait, and no other call. A reader that is behind by more than a
    connection's buffer (64 KiB) and does not take most of that within `stall_s` loses its connection.
    Writing to a client that has disconnected raises ConnectionError.
    """

    def __init__(self, request: web.Request, response: web.StreamResponse, *, stall_s: float) -> None:
        self._request = request
        self._response = response
        self._stall_s = stall_s
        self._opening = asyncio.Lock()
        self._clock = asyncio.get_running_loop().time
        self._written_s = self._clock()
        self.opened = False
        """Whether the status has gone out: from then on a failure is a frame."""

    @property
    def content_type(self) -> str:
        return self._response.content_type

    async def write(self, payload: bytes) -> None:
        """One chunk."""
        if not self.opened:
            await self._open()
        self._written_s = self._clock()
        transport = self._request.transport
        if transport is None:
            raise ConnectionResetError("the client disconnected")
        if not transport.get_write_buffer_size() and len(payload) < _UNTIMED_BYTES:
            await self._response.write(payload)
        else:
            await self._within_stall(self._response.write(payload))

    async def keep_alive(self, payload: bytes, *, every_s: float) -> None:
        """Write `payload` after every silence of `every_s`, until cancelled or the client disconnects."""
        with suppress(ConnectionError):
            while True:
                silent_s = self._clock() - self._written_s
                if silent_s >= every_s:
                    await self.write(payload)
                else:
                    await asyncio.sleep(every_s - silent_s)

    async def write_parts(self, payload: Payload) -> None:
        """Each part in a chunk of its own: an event, also where an answer ends with several at once."""
        if isinstance(payload, tuple):
            parts: Iterable[bytes] = payload
        elif self._response.headers["Content-Type"] == sse.CONTENT_TYPE:
            parts = sse.split(payload)
        else:
            parts = (payload,)
        for part in parts:
            if part:
                await self.write(part)

    async def _open(self) -> None:
        async with self._opening:
            if not self.opened:
                await self._response.prepare(self._request)
                self.opened = True

    async def close(self) -> web.StreamResponse:
        """The answer is whole, though it may be empty."""
        if not self.opened:
            await self._open()
        await self._within_stall(self._response.write_eof())
        return self._response

    async def _within_stall(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._stall_s):
                await sending
        except TimeoutError:
            self.cut()
            raise ConnectionResetError(f"the client took too little for {self._stall_s} s") from None

    def cut(self) -> web.StreamResponse:
        """End the connection early: the format has no frame that says that the rest is missing."""
        if self._request.transport is not None:
            self._request.transport.abort()
        return self._response

    def abandon(self) -> web.StreamResponse:
        """The client has disconnected."""
        return self._response
