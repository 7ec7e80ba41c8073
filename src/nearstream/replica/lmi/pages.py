"""What the pages of the management have in common."""

from __future__ import annotations

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from nearstream.core.errors import Invalid, Unusable


def shown(document: object, status: int = 200) -> web.Response:
    """Pretty, with a line feed at the end, as DJL Serving prints."""
    body = msgspec.json.format(msgspec.json.encode(document)) + b"\n"
    return web.Response(status=status, body=body, content_type="application/json")


def managed(handler: Handler) -> Handler:
    """Answer an operator's invalid request with 400; a model's own failures have another status."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (Invalid, Unusable) as error:
            raise web.HTTPBadRequest(reason=" ".join(str(error).split())) from error

    return handle


def number(request: web.Request, name: str, default: int) -> int:
    """A number of the query. Raises Invalid for what is none."""
    given = request.query.get(name)
    if not given:
        return default
    if not given.isdecimal():
        raise Invalid(f"Parameter {name} must be a number from 0. Given: {given[:40]!r}")
    return int(given)
