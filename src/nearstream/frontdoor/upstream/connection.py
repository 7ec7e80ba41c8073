"""One HTTP/1.1 connection to a server behind the front door; a chunk goes on in the callback that read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

from nearstream.core.errors import Invalid, Overloaded
from nearstream.core.replicas import Address, UnixSocket
from nearstream.descriptors import is_shortage
from nearstream.wire.framing import http1
from nearstream.wire.framing.http1 import Head, ResponseReader

CONNECT_TIMEOUT_S = 2.0
CONNECT_AGAIN_S = 0.05
UNREAD_BYTES = 256 * 1024
"""What is held of a body that nobody takes yet; then the server is held back."""

Sink = Callable[[bytes], bool | None]
"""Takes a piece of the body; True when no more should come until `drained` has been awaited."""


class ReplicaGone(Exception):
    """A server could not be reached, or went away before its answer was whole."""


class BodyTooLong(Exception):
    """An answer that is read as a whole is longer than it may be."""


class BodyWithheld(Exception):
    """What a body's source raises when the rest of it must not be sent."""


class Connection(asyncio.Protocol):
    """One connection, one answer at a time. `on_lost` is called once when it is gone."""

    def __init__(self, on_lost: Callable[[Connection], None] = lambda _: None) -> None:
        self._on_lost = on_lost
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._gone: str | None = None
        self._sink: Sink = self._hold
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._pumping = False
        self._full = False
        self.received_bytes = 0
        """Of the current answer, its head and framing included."""
        self._sent = True
        self._switches = False
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._continued = asyncio.Event()

    @property
    def head(self) -> Head:
        """The answer's status and headers, once `answered` has returned."""
        assert self._reader.head is not None  # noqa: S101  # `answered` returned, so it came
        return self._reader.head

    @property
    def usable(self) -> bool:
        """Whether another call can be sent."""
        return self._gone is None and self._sent and self._reader.reusable

    def begin(self, method: str, head: bytes, *, switches: bool = False) -> None:
        """Send a call's head, and with it the body if that is all there. Raises ReplicaGone.

        `switches` says that the server may switch to another protocol.
        """
        self._reader, self._switches = ResponseReader(method), switches
        self._held, self._held_bytes, self.received_bytes = [], 0, 0
        self._sink, self._pumping, self._sent = self._hold, False, True
        self._continued.clear()
        if self._full:  # the last answer ended while its client was behind
            self._full = False
            self._resume()
        self._write(head)

    async def answered(self) -> None:
        """Returns when the answer's head has come. Raises ReplicaGone."""
        while self._reader.head is None:
            await self._wait()
        if self.head.status == http1.SWITCHING_PROTOCOLS and not self._switches:
            self._gone = "the server switched to another protocol, which was not requested"
            self.close()
            raise ReplicaGone(self._gone)

    async def send_body(
        self, body: AsyncIterator[bytes], *, chunked: bool, on_continue: Callable[[], None] | None = None
    ) -> None:
        """Send a body as it comes; with `on_continue` once the server asks for it, which is then called.

        A body that is withheld ends the connection, so that the server takes none of it.
        """
        self._sent = False
        try:
            if on_continue is not None:
                await self._continued.wait()
                on_continue()
            async for piece in body:
                self._write(http1.chunk(piece) if chunked else piece)
                await self._may_write.wait()
            if chunked:
                self._write(http1.LAST_CHUNK)
            self._sent = True
        except BodyWithheld:
            self.close()
        except ReplicaGone:
            pass  # the server wants no more of the body: its answer explains it, or the reader gets the error

    async def pump(self, sink: Sink, drained: Callable[[], Awaitable[None]] | None = None) -> None:
        """Hand each piece of the body to `sink` in the moment it comes, to the end. Raises ReplicaGone."""
        was_full, self._full = self._full, False
        self._sink, self._pumping = sink, True
        for piece in self._taken():
            self._full = bool(sink(piece)) or self._full
        if self._full:
            self._pause()
        elif was_full:
            self._resume()
        while not self._reader.done:
            if self._full and drained is not None:
                await drained()
                self._full = False
                self._resume()
            else:
                await self._wait()

    def redirect(self, sink: Sink) -> None:
        """Hand what comes from now on to another sink, while `pump` runs."""
        self._sink = sink

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, for a reader with its own pace. Raises ReplicaGone."""
        while True:
            for piece in self._taken():
                yield piece
            if self._held:
                continue
            if self._reader.done:
                return
            if self._full:
                self._full = False
                self._resume()
            await self._wait()

    async def read(self, *, limit_bytes: int) -> bytes:
        """The whole body. Raises ReplicaGone, and BodyTooLong."""
        body = await self.beginning(limit_bytes=limit_bytes + 1)
        if len(body) > limit_bytes:
            raise BodyTooLong
        return body

    async def beginning(self, *, limit_bytes: int) -> bytes:
        """The body, or so much of it. Raises ReplicaGone."""
        body = bytearray()
        async for piece in self.pieces():
            body += piece
            if len(body) >= limit_bytes:
                break
        return bytes(body[:limit_bytes])

    def switched(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The two ways of a connection that the server switched to another protocol (status 101).

        The connection itself is out of use from then on. Raises ReplicaGone.
        """
        transport = self._open_transport()
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=UNREAD_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        reader.feed_data(self._reader.rest)
        self._gone = "the connection was switched to another protocol"
        self._resume()
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def close(self) -> None:
        """End the connection now; the server sees that its caller has left."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        self.received_bytes += len(data)
        try:
            pieces = reader.feed(data)
        except Invalid as error:
            self._gone = str(error)
            self.close()
            self._wake()
            return
        sink = self._sink
        for piece in pieces:
            if sink(piece):
                self._pause()
        if not self._pumping or self._full or reader.done:
            self._notice_head()
            self._wake()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def connection_lost(self, error: Exception | None) -> None:
        reason = str(error or "the server closed the connection")
        try:
            self._reader.end()
        except Invalid as early:
            reason = str(early)
        self._gone = self._gone or reason
        self._may_write.set()
        self._wake()
        self._on_lost(self)

    def _notice_head(self) -> None:
        if self._reader.continued:
            self._continued.set()
        head = self._reader.head
        if head is not None and head.status == http1.SWITCHING_PROTOCOLS:
            self._pause()  # what comes now belongs to who takes the connection over

    def _hold(self, piece: bytes) -> bool:
        self._held.append(piece)
        self._held_bytes += len(piece)
        return self._held_bytes > UNREAD_BYTES

    def _taken(self) -> list[bytes]:
        taken, self._held, self._held_bytes = self._held, [], 0
        return taken

    def _open_transport(self) -> asyncio.Transport:
        if self._gone is not None or self._transport is None or self._transport.is_closing():
            raise ReplicaGone(self._gone or "the connection is closed")
        return self._transport

    def _write(self, data: bytes) -> None:
        try:
            self._open_transport().write(data)
        except (OSError, RuntimeError) as error:  # uvloop's transport once it is closed
            raise ReplicaGone(str(error)) from error

    def _pause(self) -> None:
        self._full = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    async def _wait(self) -> None:
        if self._gone is not None:
            raise ReplicaGone(self._gone)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def connect(
    address: Address, *, on_lost: Callable[[Connection], None] = lambda _: None, wait_s: float = 0.0
) -> Connection:
    """A new connection; a server that does not listen is tried again for `wait_s`.

    Raises ReplicaGone, and Overloaded when this process, and not the server, is why there is none.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    while True:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await _connected(address, lambda: Connection(on_lost))
        except (OSError, TimeoutError) as error:
            if is_shortage(error):
                raise Overloaded(
                    "The front door has no file descriptor left for this call; try again."
                ) from error
            if loop.time() >= deadline:
                raise ReplicaGone(f"{address} does not answer: {error}") from error
        await asyncio.sleep(CONNECT_AGAIN_S)


async def _connected(address: Address, factory: Callable[[], Connection]) -> Connection:
    loop = asyncio.get_running_loop()
    if isinstance(address, UnixSocket):
        return (await loop.create_unix_connection(factory, address.path))[1]
    return (await loop.create_connection(factory, address.host, address.port))[1]
