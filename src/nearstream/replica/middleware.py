"""Middleware of every route: pages of browsers, the API key, response headers, and errors as responses."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from nearstream.core.errors import NearstreamError, WrongMedia
from nearstream.replica.access import bears_one_of, over_unix_socket
from nearstream.replica.operation import REQUEST_ID
from nearstream.replica.responses import error_response
from nearstream.wire.browsers import PageRules
from nearstream.wire.dialects.port import ErrorDialect

_log = structlog.get_logger(__name__)
_JSON = re.compile(r"application/(json|[^;]+\+json|octet-stream)")
_WRONG_KEY = "the API key is missing or wrong: send it as `Authorization: Bearer <key>`"
_READ_ONLY = frozenset({"GET", "HEAD"})


def pages_checked(pages: PageRules, errors: ErrorDialect) -> Middleware:
    """Refuse calls of pages that may not call, with 403, before anything else; answer preflight requests.

    What comes over a Unix socket comes from no page.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not over_unix_socket(request):
            refusal = pages.refusal(request.headers.items())
            if refusal is not None:
                return error_response(errors.plain(403, refusal))
        if request.method == "OPTIONS":
            return web.Response(headers=pages.preflight(request.headers.items()))
        return await handler(request)

    return check


def key_checked(
    key: str | None,
    errors: ErrorDialect | None = None,
    *,
    others: Sequence[str] = (),
    private: tuple[str, ...] = (),
) -> Middleware:
    """Every method but GET and HEAD needs the key, if there is one; one of `others` will do, too.

    Paths that begin as one in `private` need it for GET as well. `errors` writes the body of a 401, which is
    empty otherwise.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        free = request.method in _READ_ONLY and not request.path.startswith(private)
        if key is None or free or bears_one_of((key, *others), request):
            return await handler(request)
        return web.Response(status=401) if errors is None else error_response(errors.plain(401, _WRONG_KEY))

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
    pages: PageRules,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Set the headers of every response: its request id and those of CORS; no `Server`."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(pages.cors(request.headers.get("Origin")))
        if REQUEST_ID in request:
            response.headers["x-request-id"] = request[REQUEST_ID]
        response.headers.popall("Server", None)

    return add
