"""Middleware of every route: the API key, response headers, and errors as responses."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from hmac import compare_digest

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from nearstream.core.errors import NearstreamError, WrongMedia
from nearstream.replica.operation import REQUEST_ID
from nearstream.replica.responses import error_response
from nearstream.wire.dialects.port import ErrorDialect

_log = structlog.get_logger(__name__)
_JSON = re.compile(r"application/(json|[^;]+\+json|octet-stream)")
_WRONG_KEY = "the API key is missing or wrong: send it as `Authorization: Bearer <key>`"
_READ_ONLY = frozenset({"GET", "HEAD"})
# The answer to a browser's preflight request from another origin.
PREFLIGHT = {"Access-Control-Allow-Methods": "GET,POST", "Access-Control-Allow-Headers": "content-type"}


def key_checked(key: str | None, errors: ErrorDialect | None = None) -> Middleware:
    """Every method but GET and HEAD needs the key, if there is one; a preflight is answered without.

    `errors` writes the body of a 401, which is empty otherwise.
    """
    wanted = f"Bearer {key}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return web.Response(headers=PREFLIGHT)
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if key is not None and request.method not in _READ_ONLY and not compare_digest(given, wanted):
            return (
                web.Response(status=401) if errors is None else error_response(errors.plain(401, _WRONG_KEY))
            )
        return await handler(request)

    return check


def errors_answered(errors: ErrorDialect) -> Middleware:
    """Turn what a handler raises into a response; a stack trace goes to the log, never to the client."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except NearstreamError as error:
            return error_response(errors.error(error))
        except web.HTTPException as error:
            answer = error_response(errors.plain(error.status, error.reason))
            if "Allow" in error.headers:
                answer.headers["Allow"] = error.headers["Allow"]
            return answer
        except web.RequestPayloadError as error:
            # Its chunks or its content-encoding are not what the headers promise.
            return error_response(errors.plain(web.HTTPBadRequest.status_code, _line(f"bad body: {error}")))
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - the edge
            _log.exception("call failed unexpectedly", path=request.path)
            return error_response(errors.error(NearstreamError("internal error")))

    return answer


def _line(text: str) -> str:
    return " ".join(text.split())


async def json_body(request: web.Request) -> bytes:
    """The body, unless its Content-Type is not JSON. Raises WrongMedia.

    No Content-Type, or octet-stream (boto3's default), counts as JSON.
    """
    if "Content-Type" in request.headers and not _JSON.fullmatch(request.content_type):
        raise WrongMedia("Expected request with `Content-Type: application/json`")
    return await request.read()


def on_every_response(
    origins: Sequence[str],
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Set the headers of every response: its request id and its CORS origin; no `Server`."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get("Origin", "")
        response.headers["Access-Control-Allow-Origin"] = origin if origin in origins else origins[0]
        if len(origins) > 1:
            response.headers["Vary"] = "Origin"
        if REQUEST_ID in request:
            response.headers["x-request-id"] = request[REQUEST_ID]
        response.headers.popall("Server", None)

    return add
