"""The front door's answer to browsers: which pages may call, preflight requests, and the headers of CORS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from aiohttp import web

from nearstream.wire.browsers import PageRules

R = TypeVar("R", bound=web.StreamResponse)

_HEADERS: Final = web.RequestKey("headers of CORS", Mapping[str, str])


def refusal(pages: PageRules, request: web.BaseRequest) -> str | None:
    """Why a call is not taken, if it is not; notes what CORS wants of the answers to those that are."""
    reason = pages.refusal(request.headers.items())
    if reason is None:
        request[_HEADERS] = pages.cors(request.headers.get("Origin"))
    return reason


def preflight(pages: PageRules, request: web.BaseRequest) -> web.Response | None:
    """The answer to a browser that asks whether a page may call."""
    asked = "Origin" in request.headers and "Access-Control-Request-Method" in request.headers
    if request.method != "OPTIONS" or not asked:
        return None
    return web.Response(headers=pages.preflight(request.headers.items()))


def readable(request: web.BaseRequest, response: R) -> R:
    """`response`, before it is sent, for the page that it goes to."""
    response.headers.update(request.get(_HEADERS, {}))
    return response
