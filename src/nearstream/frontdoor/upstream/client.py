"""The front door's HTTP/1.1 client, for replicas and the object store: keeps connections that idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from nearstream.core.replicas import Address
from nearstream.frontdoor.upstream.connection import UNREAD_BYTES, Connection, ReplicaGone, connect
from nearstream.tasks import alongside
from nearstream.wire.framing import http1

IDLE_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is handed on. `headers` are the caller's; what is of one connection is left out."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]

    @property
    def chunked(self) -> bool:
        """Whether the body's length is unknown."""
        return "chunked" in self._header("transfer-encoding")

    @property
    def waits(self) -> bool:
        """Whether the caller sends the body only when the server asks for it."""
        return self._header("expect") == "100-continue"

    def head(self) -> bytes:
        """Raises Invalid for a header that no request can have."""
        # Not `Connection: close`: Go's server would not read a small body to its end before it answers.
        coding = [("Transfer-Encoding", "chunked")] if self.chunked else []
        return http1.request_head(self.method, self.target, [*coding, *http1.end_to_end(self.headers)])

    def _header(self, wanted: str) -> str:
        return next((value.lower() for name, value in self.headers if name.lower() == wanted), "")


@dataclass(frozen=True, slots=True)
class Duplex:
    """A connection that a server switched to another protocol: what comes, and the way back."""

    head: http1.Head
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class NotSwitched(Exception):
    """A server answered a call for another protocol with an ordinary response; `body` is how that begins."""

    def __init__(self, head: http1.Head, body: bytes) -> None:
        super().__init__(f"status {head.status}")
        self.head = head
        self.body = body


class Upstreams:
    """Connections by address. Leaving the context closes those that idle."""

    def __init__(self) -> None:
        self._idle: dict[Address, list[Connection]] = {}

    @property
    def idle(self) -> int:
        """Connections that are kept for a next call."""
        return sum(map(len, self._idle.values()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    @asynccontextmanager
    async def post(
        self, address: Address, path: str, body: bytes, headers: Mapping[str, str]
    ) -> AsyncGenerator[Connection]:
        """Send a call; the connection has the answer's head. Leaving early closes it. Raises ReplicaGone."""
        connection = await self._answered(address, "POST", http1.request("POST", path, headers, body))
        try:
            yield connection
        finally:
            self._give_back(address, connection)

    @asynccontextmanager
    async def stream(
        self,
        address: Address,
        call: Call,
        body: AsyncIterator[bytes],
        *,
        on_continue: Callable[[], None],
        wait_s: float,
    ) -> AsyncGenerator[Connection]:
        """Send a call and its body as that comes; the connection has the answer's head, which may be first.

        `on_continue` is called when the server asks for a body that the caller holds back until then. A
        server that does not listen is waited for. Raises ReplicaGone; `body` may raise BodyWithheld.
        """
        head = call.head()
        # Not one that idled: if that is closed meanwhile, the body's first part is gone with it.
        connection = await connect(address, on_lost=self._lost(address), wait_s=wait_s)
        try:
            connection.begin(call.method, head)
            sending = connection.send_body(
                body, chunked=call.chunked, on_continue=on_continue if call.waits else None
            )
            async with alongside(sending):
                await connection.answered()
                yield connection
        finally:
            self._give_back(address, connection)

    @asynccontextmanager
    async def switch(
        self, address: Address, path: str, headers: Iterable[tuple[str, str]]
    ) -> AsyncGenerator[Duplex]:
        """Switch a new connection to another protocol, which `headers` names. Leaving the block closes it.

        Raises ReplicaGone, and NotSwitched when the server answers otherwise.
        """
        head = http1.request_head("GET", path, [("Host", "replica"), *headers])
        connection = await connect(address)
        try:
            connection.begin("GET", head, switches=True)
            await connection.answered()
            if connection.head.status != http1.SWITCHING_PROTOCOLS:
                raise NotSwitched(connection.head, await connection.beginning(limit_bytes=UNREAD_BYTES))
            yield Duplex(connection.head, *connection.switched())
        finally:
            connection.close()

    async def _answered(self, address: Address, method: str, call: bytes) -> Connection:
        """A connection with the answer's head: one that idles, if the server has not closed it."""
        while (connection := self._take(address)) is not None:
            try:
                return await _sent(connection, method, call)
            except ReplicaGone:
                continue  # it was closed meanwhile; a fresh one tells whether the server is there
        return await _sent(await connect(address, on_lost=self._lost(address)), method, call)

    def _take(self, address: Address) -> Connection | None:
        idle = self._idle.get(address)
        if not idle:
            return None
        connection = idle.pop()
        if not idle:
            del self._idle[address]
        return connection

    def _give_back(self, address: Address, connection: Connection) -> None:
        if connection.usable and len(self._idle.get(address, ())) < IDLE_CONNECTIONS:
            self._idle.setdefault(address, []).append(connection)
        else:
            connection.close()

    def _lost(self, address: Address) -> Callable[[Connection], None]:
        def forget(connection: Connection) -> None:
            left = [one for one in self._idle.get(address, ()) if one is not connection]
            if left:
                self._idle[address] = left
            else:
                self._idle.pop(address, None)

        return forget


async def _sent(connection: Connection, method: str, call: bytes) -> Connection:
    try:
        connection.begin(method, call)
        await connection.answered()
    except BaseException:
        connection.close()
        raise
    return connection
