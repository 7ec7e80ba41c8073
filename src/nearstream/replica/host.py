"""A server's life: listen, hold what it serves with, drain, close."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import stat
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from aiohttp import web

from nearstream import descriptors
from nearstream.connections.limits import ConnectionLimits, limits_within
from nearstream.connections.refusals import Refusal
from nearstream.connections.server import BACKLOG, REFUSE, AppRunner, swept
from nearstream.core.errors import Unusable
from nearstream.tasks import alongside
from nearstream.wire.dialects.port import ErrorDialect

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen: a Unix socket that only this user may open, a host and port (0: a free one), or both.

    `grace_s` is how long a stop waits for answers that are under way. Without `limits` the connections stay
    within the process's descriptors.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    socket: Path | None = None
    grace_s: float = 90.0
    limits: ConnectionLimits | None = None


def refuse_as(app: web.Application, errors: ErrorDialect) -> None:
    """Have the server of `app` refuse what is no request in the dialect of its other errors."""

    def refuse(status: int, message: str) -> Refusal:
        error = errors.plain(status, message)
        return Refusal(error.status, error.body, {"Content-Type": error.content_type})

    app[REFUSE] = refuse


async def host(
    app: web.Application,
    place: Place,
    *,
    hold: Coroutine[None, None, None],
    drain: Callable[[], None],
    stop: asyncio.Event | None = None,
    on_listening: Callable[[Sequence[str]], None] = lambda addresses: None,
) -> None:
    """Serve `app` until `stop` is set (without it: until SIGTERM or SIGINT), then drain and return.

    `hold` opens what the app answers with and keeps it until it is cancelled; what it raises ends the server.
    `drain` is called once no new work is to be taken. `on_listening` gets the addresses, `http://host:port`
    and `unix:/path`. Raises Unusable for an address that cannot be used.
    """
    limits = place.limits or limits_within(descriptors.raise_limit())
    runner = AppRunner(app, limits, grace_s=place.grace_s)
    await runner.setup()
    try:
        async with swept(runner), _listening(runner, place) as addresses, _stopped(stop) as stopped:
            on_listening(addresses)
            async with alongside(hold):
                await stopped.wait()
                _log.info("draining", grace_s=place.grace_s)
                drain()
                await runner.cleanup()
    finally:
        hold.close()  # where the address could not be used, it never ran
        await runner.cleanup()


@asynccontextmanager
async def _stopped(stop: asyncio.Event | None) -> AsyncIterator[asyncio.Event]:
    if stop is not None:
        yield stop
        return
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _listening(runner: web.AppRunner, place: Place) -> AsyncIterator[list[str]]:
    """Open the port and the socket of `place`, and give their addresses."""
    addresses = []
    if place.socket is not None:
        await web.SockSite(runner, _unix_socket(place.socket), backlog=BACKLOG).start()
        addresses.append(f"unix:{place.socket}")
    if place.port is not None:
        site = web.TCPSite(runner, place.host, place.port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            raise Unusable(f"cannot listen on {place.host}:{place.port}: {error}") from error
        port = runner.addresses[-1][1]
        name = f"[{place.host}]" if ":" in place.host else place.host
        addresses.append(f"http://{name}:{port}")
    if not addresses:
        raise Unusable("nothing to listen on: name a port or a socket")
    try:
        yield addresses
    finally:
        if place.socket is not None:
            place.socket.unlink(missing_ok=True)


def _unix_socket(path: Path) -> socket.socket:
    """Bound and private before anyone can connect: it listens only later."""
    _clear_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
    except OSError as error:
        listener.close()
        raise Unusable(f"cannot listen on {path}: {error}") from error
    return listener


def _clear_stale(path: Path) -> None:
    """Remove the socket of a server that is gone. Raises Unusable for one that answers, or another file."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise Unusable(f"cannot listen on {path}: it is there already and no socket")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink()
            return
    raise Unusable(f"cannot listen on {path}: another server does")
