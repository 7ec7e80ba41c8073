"""Listens for the front door's clients."""

from __future__ import annotations

import errno
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from nearstream.core.errors import Unusable
from nearstream.frontdoor.access import MAX_BODY_BYTES

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(
    handler: Handler, *, host: str, port: int, grace_s: float = 10.0, flag: str = "--port"
) -> AsyncIterator[None]:
    """Serve HTTP while the block runs; then let open answers end for `grace_s`.

    Raises Unusable; `flag` is the option that chooses the port.
    """
    server = web.Server(
        handler,
        request_factory=partial(web.BaseRequest, loop=get_running_loop(), client_max_size=MAX_BODY_BYTES + 1),
        # A client that leaves cancels its handler, and with it the replica's work.
        handler_cancellation=True,
        access_log=None,
        # A body's signature is over the bytes that were sent.
        auto_decompress=False,
    )
    runner = web.ServerRunner(server, shutdown_timeout=grace_s)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, backlog=1024).start()
        except OSError as error:
            raise Unusable(_explained(error, host, port, flag)) from error
        yield
    finally:
        await runner.cleanup()


def _explained(error: OSError, host: str, port: int, flag: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program: stop it, or choose another with {flag}."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} on {host} may not be used by this user: choose one above 1023 with {flag}."
    return f"{host} port {port} cannot be listened on: {error.strerror or error}."
