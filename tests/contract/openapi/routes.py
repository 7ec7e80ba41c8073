"""What a server's application serves, asked of the server itself."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web
from tests.contract.replica.scripted import Witness, serving

from nearstream.replica import server
from nearstream.replica.settings import ServerSettings
from nearstream.replica.tgi.app import build_app


async def routes(told: ServerSettings) -> set[tuple[str, str]]:
    """Method and path of each; aiohttp adds HEAD to every GET."""
    built = list[web.Application]()

    def kept(*arguments: Any, **options: Any) -> web.Application:
        built.append(build_app(*arguments, **options))
        return built[-1]

    serve = partial(server.serve, api=server.Api(kept, metrics_prefix="tgi"))
    async with serving(told, Witness([7]), serve=serve):
        pass
    every = {(route.method, route.resource.canonical) for route in built[0].router.routes()}
    return {(method, path) for method, path in every if method != "HEAD"}
