"""Connections to replicas: HTTP over Unix sockets, with no task between a chunk's arrival and its way out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self, cast

from nearstream.core.errors import Invalid
from nearstream.core.replicas import Address, Replica, UnixSocket
from nearstream.wire.framing import http1
from nearstream.wire.framing.http1 import Head, ResponseReader

CONNECT_TIMEOUT_S = 2.0
IDLE_CONNECTIONS = 64

Sink = Callable[[bytes], bool | None]
"""Takes a piece of the body; True when no more should come until `drained` has been awaited."""


class ReplicaGone(Exception):
    """A replica could not be reached, or went away before its answer was whole."""


class Upstreams:
    """Connections to each replica, kept while they idle."""

    def __init__(self) -> None:
        self._idle: dict[str, list[Connection]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    @asynccontextmanager
    async def post(
        self, replica: Replica, path: str, body: bytes, headers: Mapping[str, str]
    ) -> AsyncGenerator[Connection]:
        """Send a call; the connection has the answer's head. Leaving early closes it. Raises ReplicaGone."""
        call = http1.request("POST", path, headers, body)
        connection = await self._sent(replica, call)
        try:
            yield connection
        finally:
            self._give_back(replica, connection)

    async def _sent(self, replica: Replica, call: bytes) -> Connection:
        idle = self._idle.get(replica.id)
        while idle:
            connection = idle.pop()
            try:
                await connection.send(call)
            except ReplicaGone:
                continue  # the replica had closed it meanwhile; a fresh one tells whether it is there
            except BaseException:
                connection.close()
                raise
            return connection
        try:
            connection = await _connect(replica.address)
        except ReplicaGone:
            self._idle.pop(replica.id, None)
            raise
        try:
            await connection.send(call)
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_back(self, replica: Replica, connection: Connection) -> None:
        idle = self._idle.setdefault(replica.id, [])
        idle[:] = [one for one in idle if one.usable]
        if connection.usable and len(idle) < IDLE_CONNECTIONS:
            idle.append(connection)
        else:
            connection.close()


class Connection(asyncio.Protocol):
    """One connection to a replica, one answer at a time."""

    def __init__(self) -> None:
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._gone: str | None = None
        self._early: list[bytes] = []
        self._sink: Sink = self._early.append
        self._pumping = False
        self._full = False

    @property
    def head(self) -> Head:
        """The answer's status and headers."""
        assert self._reader.head is not None  # noqa: S101  # `send` returned, so it came
        return self._reader.head

    @property
    def usable(self) -> bool:
        """Whether another call can be sent."""
        return self._gone is None and self._reader.reusable

    async def send(self, call: bytes) -> None:
        """Send one call and wait for the head of its answer. Raises ReplicaGone."""
        self._reader = ResponseReader()
        self._early.clear()
        self._sink, self._pumping = self._early.append, False
        if self._full:  # the last answer ended while its client was behind
            self._full = False
            self._resume()
        if self._transport is not None:
            self._transport.write(call)
        while self._reader.head is None:
            await self._wait()

    async def pump(self, sink: Sink, drained: Callable[[], Awaitable[None]] | None = None) -> None:
        """Hand each piece of the body to `sink` in the moment it comes, to the end. Raises ReplicaGone."""
        self._sink, self._pumping = sink, True
        for piece in self._early:
            if sink(piece):
                self._pause()
        self._early.clear()
        while not self._reader.done:
            if self._full and drained is not None:
                await drained()
                self._full = False
                self._resume()
            else:
                await self._wait()

    async def read(self) -> bytes:
        """The whole body. Raises ReplicaGone."""
        pieces: list[bytes] = []
        await self.pump(pieces.append)
        return b"".join(pieces)

    def close(self) -> None:
        """End the connection now; the replica sees that its caller has left."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            pieces = reader.feed(data)
        except Invalid as error:
            self._gone = str(error)
            self.close()
            return
        sink = self._sink
        for piece in pieces:
            if sink(piece):
                self._pause()
        if not self._pumping or self._full or reader.done:
            self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        if self._gone is None:
            self._gone = str(error or "the replica closed the connection")
        try:
            self._reader.end()
        except Invalid as early:
            self._gone = str(early)
        self._wake()

    def _pause(self) -> None:
        self._full = True
        if self._transport is not None:
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


async def _connect(address: Address) -> Connection:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if isinstance(address, UnixSocket):
                _, connection = await loop.create_unix_connection(Connection, address.path)
            else:
                _, connection = await loop.create_connection(Connection, address.host, address.port)
    except (OSError, TimeoutError) as error:
        raise ReplicaGone(f"{address} does not answer: {error}") from error
    return connection
