"""Listens for the front door's clients."""

from __future__ import annotations

import asyncio
import errno
import ssl
import uuid
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
from aiohttp import web

from nearstream import descriptors
from nearstream.connections.limits import ConnectionLimits, limits_within
from nearstream.connections.refusals import Refusal
from nearstream.connections.server import BACKLOG, handler_runner, swept
from nearstream.core.errors import Unusable
from nearstream.frontdoor.access import MAX_BODY_BYTES

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
DESCRIPTORS_PER_CLIENT: Final = 2
"""Its own connection, and that to the replica which answers it."""
_CODES: Final = {
    405: "MethodNotAllowedException",
    408: "RequestTimeoutException",
    431: "RequestHeaderFieldsTooLargeException",
    500: "InternalFailure",
    503: "ServiceUnavailableException",
}


@dataclass(frozen=True, slots=True)
class Entrance:
    """How connections begin: in TLS if there is a context, as what `protocols` makes of a web server's.

    Without `limits` they stay within the process's descriptors.
    """

    limits: ConnectionLimits | None = None
    tls: ssl.SSLContext | None = None
    protocols: Callable[[web.Server], Callable[[], asyncio.Protocol]] = lambda server: server


PLAIN = Entrance()


@asynccontextmanager
async def listening(
    handler: Handler,
    *,
    host: str,
    port: int,
    grace_s: float = 10.0,
    flag: str = "--port",
    entrance: Entrance = PLAIN,
) -> AsyncIterator[None]:
    """Serve HTTP while the block runs; then let open answers end for `grace_s`.

    Raises Unusable; `flag` is the option that chooses the port.
    """
    limits = entrance.limits or limits_within(
        descriptors.raise_limit(), per_connection=DESCRIPTORS_PER_CLIENT
    )
    make = partial(web.BaseRequest, loop=get_running_loop(), client_max_size=MAX_BODY_BYTES + 1)
    runner = handler_runner(handler, make, _refused, limits, grace_s=grace_s)
    await runner.setup()
    server = runner.server
    assert server is not None  # noqa: S101 - it is set up
    listener: asyncio.Server | None = None
    async with swept(runner):
        try:
            try:
                listener = await get_running_loop().create_server(
                    entrance.protocols(server), host, port, ssl=entrance.tls, backlog=BACKLOG
                )
            except OSError as error:
                raise Unusable(_explained(error, host, port, flag)) from error
            yield
        finally:
            if listener is not None:
                listener.close()
            await runner.cleanup()


def _refused(status: int, message: str) -> Refusal:
    """As AWS's JSON protocols write an error: what is no request is in no protocol."""
    code = _CODES.get(status, "ValidationException")
    headers = {
        "Content-Type": "application/json",
        "x-amzn-ErrorType": code,
        "x-amzn-RequestId": str(uuid.uuid4()),
    }
    return Refusal(status, msgspec.json.encode({"__type": code, "message": message}), headers)


def _explained(error: OSError, host: str, port: int, flag: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program: stop it, or choose another with {flag}."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} on {host} may not be used by this user: choose one above 1023 with {flag}."
    return f"{host} port {port} cannot be listened on: {error.strerror or error}."
