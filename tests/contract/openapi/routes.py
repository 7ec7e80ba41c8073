"""What a server's application serves."""

from __future__ import annotations

import pytest
from aiohttp import web
from tests.contract.replica.scripted import Witness, serving

from nearstream.replica.settings import ServerSettings
from nearstream.replica.tgi import server


async def routes(told: ServerSettings) -> set[tuple[str, str]]:
    """Method and path of each; aiohttp adds HEAD to every GET."""
    build, built = server.build_app, list[web.Application]()

    def kept(*arguments: object, **options: object) -> web.Application:
        built.append(build(*arguments, **options))
        return built[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(server, "build_app", kept)
        async with serving(told, Witness([7])):
            pass
    every = {(route.method, route.resource.canonical) for route in built[0].router.routes()}
    return {(method, path) for method, path in every if method != "HEAD"}
