"""An authoritative DNS server over UDP and TCP on one port: never recursive, bounded in what a sender can
make it keep or send.

Over UDP responses are rate limited. Over TCP messages have a length before them (RFC 7766); a connection
may send several at once, is closed after ten idle seconds or when it does not read, and there are 20 for an
address and 200 in all.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import cast

from nearstream.nameserver.rate_limit import NETWORK_BITS, RateLimit, Verdict
from nearstream.nameserver.responder import Responder
from nearstream.nameserver.senders import network_of

IDLE_S = 10.0
MOST_CONNECTIONS, MOST_OF_ONE_ADDRESS = 200, 20
_LENGTH = struct.Struct("!H")
_TRUNCATED = 0x02
_HEADER_BYTES = 12


class CannotListen(OSError):
    """The address and port are taken or not allowed."""


@dataclass(slots=True)
class Nameserver:
    """What runs; `port` is the one that it got."""

    responder: Responder
    limit: RateLimit = field(default_factory=RateLimit)
    clock: Callable[[], float] = monotonic
    port: int = 0
    _connections: Counter[str] = field(default_factory=Counter)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def datagram(self, wire: bytes, source: str) -> bytes | None:
        """The response to one datagram, if any."""
        now_s = self.clock()
        reply = self.responder.reply(wire, source, stream=False, now_s=now_s)
        if reply is None:
            return None
        verdict = self.limit.judge(network_of(source, NETWORK_BITS), reply.bucket, now_s=now_s)
        if verdict is Verdict.DROP:
            return None
        return reply.wire if verdict is Verdict.SEND else truncated(reply.wire)

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one TCP connection until it ends."""
        source = str(writer.get_extra_info("peername")[0])
        full = self._connections.total() >= MOST_CONNECTIONS
        if full or self._connections[source] >= MOST_OF_ONE_ADDRESS:
            writer.transport.abort()
            return
        self._connections[source] += 1
        self._writers.add(writer)
        try:
            while await self._message(reader, writer, source):
                pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            self._connections[source] -= 1
            if not self._connections[source]:
                del self._connections[source]
            self._writers.discard(writer)
            writer.close()

    def hang_up(self) -> None:
        """End all connections at once."""
        for writer in self._writers:
            writer.transport.abort()

    async def _message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str) -> bool:
        """One query and its response; False when the connection should end."""
        async with asyncio.timeout(IDLE_S):
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            wire = await reader.readexactly(length)
        reply = self.responder.reply(wire, source, stream=True, now_s=self.clock())
        if reply is None:
            return False
        writer.write(_LENGTH.pack(len(reply.wire)) + reply.wire)
        async with asyncio.timeout(IDLE_S):
            await writer.drain()
        return True


def truncated(wire: bytes) -> bytes:
    """The header alone, marked as truncated: the client asks again over TCP."""
    head = bytearray(wire[:_HEADER_BYTES])
    head[2] |= _TRUNCATED
    head[4:] = bytes(_HEADER_BYTES - 4)
    return bytes(head)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: Nameserver) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's own class is no subclass of asyncio's.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        # A full send buffer drops, as UDP may: nothing is kept for a slow network.
        if self._transport is None or self._full:
            return
        response = self._server.datagram(data, addr[0])
        if response is not None:
            self._transport.sendto(response, addr)


@asynccontextmanager
async def listening(server: Nameserver, *, host: str, port: int) -> AsyncIterator[Nameserver]:
    """Serve on that address, UDP and TCP, for as long as the block runs; port 0 takes a free one."""
    async with AsyncExitStack() as stack:
        try:
            await _bind(stack, server, host, port)
        except PermissionError as error:
            raise CannotListen(
                f"port {port} needs the capability CAP_NET_BIND_SERVICE; take one above 1023, such as 8053"
            ) from error
        except OSError as error:
            raise CannotListen(f"{host}:{port} cannot be listened on: {error.strerror}") from error
        yield server


async def _bind(stack: AsyncExitStack, server: Nameserver, host: str, port: int) -> None:
    tcp = await stack.enter_async_context(await asyncio.start_server(server.connection, host, port))
    stack.callback(server.hang_up)
    server.port = tcp.sockets[0].getsockname()[1]
    address = (host, server.port)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), local_addr=address)
    stack.callback(transport.close)
