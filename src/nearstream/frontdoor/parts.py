"""An event stream on its way to a client: each part leaves in the moment it is made."""

from __future__ import annotations

import asyncio

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from nearstream.frontdoor.pages import readable
from nearstream.wire.framing.eventstream import payload_part

# What a client may have left unread before its replica is held back.
UNREAD_BYTES = 64 * 1024


class PartStream(web.StreamResponse):
    """A chunked response whose chunks are written straight to the transport.

    aiohttp's own `write` is a coroutine, so each chunk would need a task to wake; `send` is called from where
    the replica's bytes arrive.
    """

    _transport: asyncio.Transport | None = None
    _writer: AbstractStreamWriter | None = None
    _chunks = True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        readable(request, self)
        self._chunks = request.version >= HttpVersion11
        if self._chunks:  # to an HTTP/1.0 client, as some proxies are, the connection's end is the stream's
            self.enable_chunked_encoding()
        else:
            self.force_close()
        self._writer = await super().prepare(request)
        self._transport = request.transport
        if self._writer is not None:
            self._writer.send_headers()
        return self._writer

    def send(self, payload: bytes) -> bool:
        """One part; True when the client has too much unread."""
        return self.write_frame(payload_part(payload))

    def write_frame(self, frame: bytes) -> bool:
        """A frame that is one already. A client that has left gets none; its handler is being cancelled."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        transport.write(b"%x\r\n%b\r\n" % (len(frame), frame) if self._chunks else frame)
        return transport.get_write_buffer_size() > UNREAD_BYTES

    async def drained(self) -> None:
        """Wait until the client has read on."""
        if self._writer is not None:
            await self._writer.drain()
