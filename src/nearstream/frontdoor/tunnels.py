"""Tunnels to hosts that are not ours: which may be reached, how, and the bytes both ways."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

import psutil

from nearstream.core.errors import Invalid

CONNECT_S: Final = 15.0
IDLE_S: Final = 300.0
HALF_OPEN_S: Final = 30.0
"""How long a tunnel that one side has ended waits for the other side."""

HEAD_BYTES: Final = 8 * 1024
PIECE_BYTES: Final = 64 * 1024
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(Exception):
    """A CONNECT that is answered with an error: its HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Target:
    """Where a tunnel is to end."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ParentProxy:
    """The proxy that this machine uses already."""

    host: str
    port: int
    tls: bool = False
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Route:
    """How hosts are reached: through `parent`, but for those that `direct` names."""

    parent: ParentProxy | None = None
    direct: Callable[[str], bool] = lambda _: False


def parent_proxy(url: str) -> ParentProxy:
    """A proxy by its URL. Raises Invalid."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        port = None
    if not parts.hostname or port is None or parts.scheme not in _DEFAULT_PORTS:
        raise Invalid("the proxy of this machine has to be a URL like http://host:port")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return ParentProxy(parts.hostname, port, parts.scheme == "https", authorization)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def open_tunnel(target: Target, route: Route) -> Streams:
    """A connection to `target`. Raises Refused."""
    parent = None if route.direct(target.host) else route.parent
    try:
        async with asyncio.timeout(CONNECT_S):
            if parent is None:
                return await _connected(target)
            _check_named(target)
            return await _through(parent, target)
    except TimeoutError:
        raise Refused(502, f"{target} did not answer within {CONNECT_S:g} s.") from None
    except OSError as error:
        raise Refused(502, f"{target} cannot be reached: {error.strerror or error}.") from error


async def _connected(target: Target) -> Streams:
    """The name is resolved once: what was checked is what is connected to."""
    found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    await asyncio.to_thread(_check_addresses, target, addresses)
    for address in addresses[:-1]:
        with suppress(OSError):
            return await asyncio.open_connection(address, target.port, limit=PIECE_BYTES)
    return await asyncio.open_connection(addresses[-1], target.port, limit=PIECE_BYTES)


def _check_addresses(target: Target, addresses: Sequence[str]) -> None:
    own = own_addresses()
    for text in addresses:
        if is_off_limits(ipaddress.ip_address(text.partition("%")[0]), own):
            raise Refused(403, f"{target} is this machine or no host: name it in NO_PROXY, call it directly.")


def is_off_limits(address: Address, own: frozenset[Address]) -> bool:
    """Whether an address is this machine's own, link-local (cloud metadata is), or of no single host."""
    address = getattr(address, "ipv4_mapped", None) or address
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
        or address in own
    )


def own_addresses() -> frozenset[Address]:
    """The addresses of this machine's interfaces."""
    found: set[Address] = set()
    for interface in psutil.net_if_addrs().values():
        for each in interface:
            with suppress(ValueError):
                found.add(ipaddress.ip_address(each.address.partition("%")[0]))
    return frozenset(found)


def _check_named(target: Target) -> None:
    """For a name that a proxy resolves: what the name alone tells."""
    host = target.host.lower()
    if host == "localhost" or host.endswith(".localhost"):
        raise Refused(403, f"{target} is this machine: name it in NO_PROXY and call it directly.")
    with suppress(ValueError):
        ipaddress.ip_address(host)
        _check_addresses(target, [host])


async def _through(parent: ParentProxy, target: Target) -> Streams:
    context = ssl.create_default_context() if parent.tls else None
    reader, writer = await asyncio.open_connection(parent.host, parent.port, limit=HEAD_BYTES, ssl=context)
    try:
        key = f"Proxy-Authorization: {parent.authorization}\r\n" if parent.authorization else ""
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{key}\r\n".encode())
        _check_answer(await reader.readuntil(b"\r\n\r\n"), target)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        writer.close()
        raise Refused(502, f"This machine's proxy ended the connection to {target}.") from None
    except BaseException:
        writer.close()
        raise
    return reader, writer


def _check_answer(head: bytes, target: Target) -> None:
    version, _, rest = head.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest.startswith(b"2"):
        status = rest.split(b"\r\n")[0][:100].decode(errors="replace")
        raise Refused(502, f"This machine's proxy does not reach {target}: {status}")


async def pump(
    near: Streams, far: Streams, *, idle_s: float = IDLE_S, half_open_s: float = HALF_OPEN_S
) -> None:
    """Carry bytes both ways until both sides have ended, or nothing came for `idle_s`; then close both."""
    loop = asyncio.get_running_loop()
    wait_s = idle_s
    try:
        async with asyncio.timeout(idle_s) as idle, asyncio.TaskGroup() as tasks:

            async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                nonlocal wait_s
                while piece := await source.read(PIECE_BYTES):
                    idle.reschedule(loop.time() + wait_s)
                    sink.write(piece)
                    await sink.drain()
                wait_s = half_open_s
                idle.reschedule(loop.time() + wait_s)
                if sink.can_write_eof():
                    sink.write_eof()

            tasks.create_task(carry(near[0], far[1]))
            tasks.create_task(carry(far[0], near[1]))
    except* (TimeoutError, OSError):
        pass  # one side is gone: so is the tunnel
    finally:
        for _, writer in (near, far):
            writer.close()
