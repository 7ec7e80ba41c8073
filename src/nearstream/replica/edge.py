"""What holds for every call, whatever its route: the key, the headers, and how a failure looks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from hmac import compare_digest

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from nearstream.core.errors import NearstreamError
from nearstream.replica.operation import REQUEST_ID
from nearstream.replica.reply import refuse
from nearstream.wire.dialects.refusals import INCOMPLETE, Refusal

_log = structlog.get_logger(__name__)
# What a browser asks before it posts from another origin.
PREFLIGHT = {"Access-Control-Allow-Methods": "GET,POST", "Access-Control-Allow-Headers": "content-type"}


def key_checked(key: str | None) -> Middleware:
    """Posts need the key, if there is one; a preflight is answered without."""
    wanted = f"Bearer {key}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return web.Response(headers=PREFLIGHT)
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if key is not None and request.method == "POST" and not compare_digest(given, wanted):
            return web.Response(status=401)
        return await handler(request)

    return check


@web.middleware
async def failures_in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What no handler took care of becomes JSON; a stack trace goes to the log, never to the client."""
    try:
        return await handler(request)
    except NearstreamError as error:
        return refuse(error)
    except web.HTTPException as error:
        return _response(Refusal(error.status, error.reason, "validation"))
    except ConnectionError:
        raise
    except Exception:  # noqa: BLE001 - the edge
        _log.exception("call failed unexpectedly", path=request.path)
        return _response(INCOMPLETE)


def on_every_response(
    origins: Sequence[str],
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Headers: which call it answers; what pages may read it; and no word on the software beneath."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        asked = request.headers.get("Origin", "")
        response.headers["Access-Control-Allow-Origin"] = asked if asked in origins else origins[0]
        if len(origins) > 1:
            response.headers["Vary"] = "Origin"
        if REQUEST_ID in request:
            response.headers["x-request-id"] = request[REQUEST_ID]
        response.headers.popall("Server", None)

    return add


def _response(refused: Refusal) -> web.Response:
    return web.Response(status=refused.status, body=refused.body, content_type="application/json")
