"""Servers in the test's own loop, with limits small enough to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from tests.contract.replica.scripted import Witness, ids_of, serving, settings
from tests.support.ports import free_port

from nearstream.connections.limits import ConnectionLimits
from nearstream.connections.server import AppRunner, swept
from nearstream.frontdoor.listener import Entrance, listening
from nearstream.tasks import alongside

SHORT = ConnectionLimits(head_s=0.3, idle_s=0.6, body_s=0.3, body_bytes=64, stop_body_s=0.2)


@dataclass
class Echo:
    """An application that answers with the length of each body; `port` is where it listens."""

    port: int = 0
    lengths: list[int] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/wait":
            await self.gate.wait()
        body = await request.read()
        self.lengths.append(len(body))
        return web.json_response({"bytes": len(body)})


@asynccontextmanager
async def echo_app(limits: ConnectionLimits = SHORT, *, max_bytes: int = 1 << 20) -> AsyncIterator[Echo]:
    """An application whose bodies are decoded, as those of model servers are."""
    echo = Echo(free_port())
    app = web.Application(client_max_size=max_bytes)
    app.router.add_route("*", "/{path:.*}", echo.handle)
    runner = AppRunner(app, limits, grace_s=5.0)
    await runner.setup()
    async with swept(runner):
        await web.TCPSite(runner, "127.0.0.1", echo.port).start()
        try:
            yield echo
        finally:
            await runner.cleanup()


@asynccontextmanager
async def echo_door(limits: ConnectionLimits = SHORT, *, grace_s: float = 5.0) -> AsyncIterator[Echo]:
    """A handler behind the front door's listener."""
    echo = Echo(free_port())
    async with listening(
        echo.handle, host="127.0.0.1", port=echo.port, grace_s=grace_s, entrance=Entrance(limits=limits)
    ):
        yield echo


@asynccontextmanager
async def model_server(folder: Path) -> AsyncIterator[int]:
    """TGI's server around a scripted engine; its port."""
    async with serving(settings(folder), Witness(ids_of("hello", folder))) as server:
        yield int(server.url.rpartition(":")[2])


@asynccontextmanager
async def longest_pause() -> AsyncIterator[list[float]]:
    """How late the loop came back to a task that sleeps for a moment, again and again."""
    pauses = [0.0]

    async def look() -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.005)
            pauses.append(loop.time() - before - 0.005)

    async with alongside(look()):
        yield pauses
