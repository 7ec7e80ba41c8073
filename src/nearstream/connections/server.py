"""HTTP servers whose connections have limits: around one handler, or around an application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from nearstream.connections.checks import Handler, checked
from nearstream.connections.connection import RequestFactory, Rules, ServerConnection, request_factory
from nearstream.connections.limits import ConnectionLimits
from nearstream.connections.places import Places
from nearstream.connections.refusals import RefusalLog, Refuse, plain_json
from nearstream.tasks import alongside

BACKLOG: Final = 1024
REFUSE: web.AppKey[Refuse] = web.AppKey("refuse")
"""Where an application says how its server refuses what is no request."""
_LINGERING_S: Final = 2.0
_SWEEPS: Final = 8
"""Looks at each connection within the shortest time limit."""


class ConnectionServer(web.Server):
    """Makes a ServerConnection of each connection."""

    def __init__(self, handler: Handler, rules: Rules, make: RequestFactory, **options: Any) -> None:  # noqa: ANN401
        loop = asyncio.get_running_loop()
        super().__init__(
            handler,
            request_factory=request_factory(make, loop),
            # A client that leaves cancels its answer, and with it the engine's work.
            handler_cancellation=True,
        )
        self._rules = rules
        self._options = {
            "loop": loop,
            "access_log": None,
            "keepalive_timeout": rules.limits.idle_s,
            "lingering_time": _LINGERING_S,
            "max_line_size": rules.limits.line_bytes,
            "max_field_size": rules.limits.line_bytes,
            **options,
        }

    def __call__(self) -> web.RequestHandler:
        return ServerConnection(self, self._rules, **self._options)

    async def sweep(self) -> None:
        """Look at the connections again and again, to end those that took too long."""
        limits = self._rules.limits
        every_s = min(1.0, min(limits.head_s, limits.idle_s, limits.body_s) / _SWEEPS)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(every_s)
            for connection in self._rules.places:
                connection.check(loop.time())


class AppRunner(web.AppRunner):
    """Runs an application behind connections with limits."""

    def __init__(self, app: web.Application, limits: ConnectionLimits, *, grace_s: float) -> None:
        super().__init__(app, handle_signals=False, shutdown_timeout=grace_s)
        self._limits = limits

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        refuse = self.app.get(REFUSE, plain_json)
        handler = checked(plain.request_handler, refuse, bodies=True)
        return ConnectionServer(handler, _rules(self._limits, refuse), plain.request_factory)


def handler_runner(
    handler: Handler, make: RequestFactory, refuse: Refuse, limits: ConnectionLimits, *, grace_s: float
) -> web.ServerRunner:
    """Runs one handler, which checks and decodes bodies itself."""
    server = ConnectionServer(
        checked(handler, refuse, bodies=False),
        _rules(limits, refuse),
        make,
        auto_decompress=False,  # a body's signature is over the bytes that were sent
    )
    return web.ServerRunner(server, shutdown_timeout=grace_s)


@asynccontextmanager
async def swept(runner: web.AppRunner | web.ServerRunner) -> AsyncIterator[None]:
    """Enforces the time limits of a runner's connections, once it is set up, while the block runs."""
    server = runner.server
    assert isinstance(server, ConnectionServer)  # noqa: S101  # both runners of this module make one
    async with alongside(server.sweep()):
        yield


def _rules(limits: ConnectionLimits, refuse: Refuse) -> Rules:
    return Rules(limits, Places(limits), refuse, RefusalLog(asyncio.get_running_loop().time))
