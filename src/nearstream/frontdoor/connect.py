"""The HTTP proxy on the front door's port: AWS's names end here, every other host is tunnelled untouched.

Follows RFC 9110, section 9.3.6 (CONNECT). It takes no key: what ends here is signed as any call is, and a
program of this machine can reach without it what is tunnelled. Other machines reach AWS's names alone.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Final, cast

import structlog
from aiohttp.web import RequestHandler

from nearstream.frontdoor.tls import Certificates, is_aws
from nearstream.frontdoor.tunnels import HEAD_BYTES, PIECE_BYTES, Refused, Route, Target, open_tunnel, pump
from nearstream.tasks import alongside

MOST_TUNNELS: Final = 512
"""Tunnels that are open, or being opened, at the same time."""

HEAD_S: Final = 10.0
HANDSHAKE_S: Final = 10.0

_METHOD: Final = b"CONNECT "
_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REASONS: Final = {400: "Bad Request", 403: "Forbidden", 502: "Bad Gateway", 503: "Service Unavailable"}
_HTTPS: Final = 443
_LARGEST_PORT: Final = 65535

ProtocolFactory = Callable[[], RequestHandler]
EntranceFactory = Callable[[], asyncio.Protocol]

log = structlog.get_logger()


class Proxy:
    """Answers CONNECT. `ports` are those that tunnels may lead to."""

    def __init__(
        self, certificates: Certificates, route: Route, *, ports: Collection[int] = (_HTTPS,)
    ) -> None:
        self._certificates = certificates
        self._route = route
        self._ports = frozenset(ports)
        self._group: asyncio.TaskGroup | None = None
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take connections while the block runs; leaving it cuts the tunnels."""
        async with alongside() as self._group:
            try:
                yield
            finally:
                for task in self._open:
                    task.cancel()

    def entrance(self, web: ProtocolFactory) -> EntranceFactory:
        """Protocols of connections: `web`'s, but for those that begin with CONNECT."""
        return lambda: FirstBytes(web, self)

    def take(self, transport: asyncio.Transport, head: bytes, rest: bytes, web: ProtocolFactory) -> None:
        """Answer a CONNECT whose head came; `rest` is what came after it."""
        assert self._group is not None  # noqa: S101 - connections are made while it runs
        task = self._group.create_task(self._answer(transport, head, rest, web))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _answer(
        self, transport: asyncio.Transport, head: bytes, rest: bytes, web: ProtocolFactory
    ) -> None:
        try:
            target = read_head(head)
            if is_aws(target.host):
                await self._end_here(transport, target, rest, web)
            else:
                await self._tunnel(transport, target, rest)
        except Refused as error:
            log.info("CONNECT refused", error=str(error))
            refuse(transport, error)
        except OSError as error:
            log.info("connection through the proxy ended", error=str(error))
            transport.abort()
        except Exception:
            log.exception("CONNECT failed")
            transport.abort()
        except BaseException:
            transport.abort()
            raise

    async def _end_here(
        self, transport: asyncio.Transport, target: Target, rest: bytes, web: ProtocolFactory
    ) -> None:
        """Go on as the host that was asked for; the connection is `web`'s then."""
        if target.port != _HTTPS:
            raise Refused(403, f"{target.host} is reached at port {_HTTPS} alone.")
        if rest:
            raise Refused(400, "Bytes came before CONNECT was answered.")
        context = self._certificates.for_aws(target.host)
        loop, early = asyncio.get_running_loop(), Early()
        transport.write(_ESTABLISHED)
        try:
            secured = await loop.start_tls(
                transport, early, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S
            )
        except (ssl.SSLError, ConnectionError, TimeoutError) as error:
            log.warning("TLS handshake failed", host=target.host, error=str(error) or type(error).__name__)
            transport.abort()
            return
        if secured is not None:
            early.hand_over(secured, web())

    async def _tunnel(self, transport: asyncio.Transport, target: Target, rest: bytes) -> None:
        peer = transport.get_extra_info("peername")
        if not _is_loopback(peer):
            raise Refused(403, "Tunnels are for programs of this machine; others reach AWS's names alone.")
        if len(self._open) > MOST_TUNNELS:
            raise Refused(503, f"{MOST_TUNNELS} tunnels are open, the most that the proxy takes.")
        if target.port not in self._ports:
            ports = ", ".join(str(port) for port in sorted(self._ports))
            raise Refused(403, f"The proxy does not reach {target}: its ports are {ports} (proxy_ports).")
        reader = asyncio.StreamReader(limit=PIECE_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        reader.feed_data(rest)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transport.resume_reading()
        far = await open_tunnel(target, self._route)
        writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
        transport.write(_ESTABLISHED)
        await pump((reader, writer), far)


class FirstBytes(asyncio.Protocol):
    """A new connection: `web`'s from the start, unless its first bytes are CONNECT."""

    def __init__(self, web: ProtocolFactory, proxy: Proxy) -> None:
        self._web = web
        self._proxy = proxy
        self._inner = web()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no instances of it
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        assert transport is not None  # noqa: S101 - it is made before it receives
        self._received += data
        if self._received.startswith(_METHOD):
            self._read_connect(transport)
        elif not _METHOD.startswith(self._received):
            transport.set_protocol(self._inner)
            self._inner.data_received(self._received)

    def _read_connect(self, transport: asyncio.Transport) -> None:
        if self._deadline is None:
            self._leave_web()
            self._deadline = asyncio.get_running_loop().call_later(HEAD_S, transport.abort)
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if end:
            self._deadline.cancel()
            transport.pause_reading()
            transport.set_protocol(asyncio.Protocol())
            self._proxy.take(transport, head, rest, self._web)
        elif len(self._received) > HEAD_BYTES:
            self._deadline.cancel()
            refuse(transport, Refused(400, f"The head of CONNECT is over {HEAD_BYTES} bytes."))

    def eof_received(self) -> bool:
        if self._deadline is None:
            self._inner.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is None:
            self._inner.connection_lost(exc)
        else:
            self._deadline.cancel()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def _leave_web(self) -> None:
        self._inner.transport = None  # it would close it
        self._inner.connection_lost(None)


class Early(asyncio.Protocol):
    """Keeps what a client sends with the end of its TLS handshake, until its connection has a protocol."""

    def __init__(self) -> None:
        self._received: list[bytes] = []
        self._ended = False

    def data_received(self, data: bytes) -> None:
        self._received.append(data)

    def eof_received(self) -> None:
        self._ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        if self._ended:
            transport.abort()
            return
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for data in self._received:
            protocol.data_received(data)


def read_head(head: bytes) -> Target:
    """The host and the port that a CONNECT asks for. Raises Refused, also for a web page."""
    line, *fields = head.decode("latin-1").split("\r\n")
    names = {name.partition(":")[0].strip().lower() for name in fields}
    if "origin" in names or any(name.startswith("sec-fetch-") for name in names):
        raise Refused(403, "The proxy is for programs; web pages are not served.")
    words = line.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004 - method, target, version
        raise Refused(400, f"'CONNECT host:port HTTP/1.1' is wanted, {line[:100]!r} came.")
    host, _, port = words[1].rpartition(":")
    host = host.removeprefix("[").removesuffix("]").lower().rstrip(".")
    if not host or not host.isascii() or not (port.isascii() and port.isdigit() and len(port) < 6):  # noqa: PLR2004
        raise Refused(400, f"'host:port' is wanted, {words[1][:100]!r} came.")
    if not 0 < int(port) <= _LARGEST_PORT:
        raise Refused(400, f"{port} is no port.")
    return Target(host, int(port))


def refuse(transport: asyncio.Transport, error: Refused) -> None:
    """Answer a CONNECT with an error, and close."""
    status = error.status
    body = f"{error}\n".encode(errors="replace")
    with suppress(OSError):
        transport.write(
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
    transport.close()


def _is_loopback(peer: object) -> bool:
    if not isinstance(peer, tuple) or not peer:
        return False
    try:
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
