"""The routes on LoRA adapters, which are nearstream's own: GET, POST and DELETE of /adapters."""

from __future__ import annotations

import msgspec
from aiohttp import web

from nearstream.replica.adapters import Adapters
from nearstream.replica.middleware import json_body
from nearstream.wire.dialects.adapter_bodies import AdapterBody, AdapterList
from nearstream.wire.dialects.json_bodies import decode


class AdapterRoutes:
    """GET, POST and DELETE of /adapters."""

    def __init__(self, adapters: Adapters) -> None:
        self._adapters = adapters

    async def list(self, request: web.Request) -> web.Response:
        return _json(AdapterList(adapters=self._adapters.all))

    async def load(self, request: web.Request) -> web.Response:
        body = decode(await json_body(request), AdapterBody)
        return _json(await self._adapters.load(body.name, body.source))

    async def unload(self, request: web.Request) -> web.Response:
        return _json(await self._adapters.unload(request.match_info["name"]))


def _json(document: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
