"""What is looked at before a request is handed to the application: its target, its coding, its length."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from nearstream.connections.refusals import Refusal, Refuse, meaning

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
CODINGS: Final = ("gzip", "deflate", "br", "zstd")
"""Codings of a body that are read."""


class BodyStalled(web.HTTPRequestTimeout):
    """Raised where a body is read that does not come; `reason` says within which time."""


def checked(handler: Handler, refuse: Refuse, *, bodies: bool) -> Handler:
    """`handler`, behind the checks; `bodies`: whether length and coding of a body are checked, too."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        refusal = _target_refused(request, refuse)
        if refusal is None and bodies:
            refusal = _body_refused(request, refuse)
        if refusal is not None:
            return refusal.response()
        if bodies:
            _hold_back(request)
        try:
            return await handler(request)
        except BodyStalled as error:
            return refuse(error.status, error.reason).response()
        except web.RequestPayloadError as error:
            return refuse(*meaning(error.__cause__ or error)).response()

    return handle


def _target_refused(request: web.BaseRequest, refuse: Refuse) -> Refusal | None:
    """An absolute target is taken, but not one that names another host than the header does."""
    target, named = request.url, request.headers.get("Host", "")
    if request.method == "CONNECT":
        return refuse(405, "CONNECT is not served: this is no proxy")
    if target.absolute and named and _authority(target.raw_authority) != _authority(named):
        return refuse(400, "the target of the request names another host than the header Host")
    return None


def _hold_back(request: web.BaseRequest) -> None:
    """Give a body that is too long by its own account to nobody: who reads it is told so at once."""
    limit, length = request.client_max_size, request.content_length
    if limit and length is not None and length > limit:
        request.content.set_exception(web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=length))


def _authority(host: str) -> str:
    """Without the port that goes without saying."""
    return host.lower().removesuffix(":80")


def _body_refused(request: web.BaseRequest, refuse: Refuse) -> Refusal | None:
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if request.body_exists and coding not in {"", "identity", *CODINGS}:
        return refuse(415, f"Content-Encoding must be one of {', '.join(CODINGS)}. Given: {coding[:40]}")
    return None
