"""Who may change what a server runs: register models and adapters, take them away, end calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hmac import compare_digest

from aiohttp import web
from aiohttp.typedefs import Handler

from nearstream.wire.browsers import PageRules

_WANTED = (
    "this call changes what the server runs, which needs its management key or API_KEY: send "
    "`Authorization: Bearer <key>`; the log names the file of the management key"
)


@dataclass(frozen=True, slots=True)
class ManagementAccess:
    """One of `keys` is wanted, unless `is_open`. A call over a Unix socket is its owner's: it needs none.

    `reading_is_open`: looking at what is there needs no key.
    """

    keys: tuple[str, ...] = ()
    is_open: bool = False
    reading_is_open: bool = True
    pages: PageRules = field(default_factory=PageRules)

    def changing(self, handler: Handler) -> Handler:
        """`handler`, for those who may change what the server runs. Raises web.HTTPException."""

        async def handle(request: web.Request) -> web.StreamResponse:
            self._check(request, is_open=self.is_open)
            return await handler(request)

        return handle

    def reading(self, handler: Handler) -> Handler:
        """`handler`, for those who may look. Raises web.HTTPException."""

        async def handle(request: web.Request) -> web.StreamResponse:
            self._check(request, is_open=self.is_open or self.reading_is_open)
            return await handler(request)

        return handle

    def _check(self, request: web.Request, *, is_open: bool) -> None:
        if over_unix_socket(request):
            return
        if (refusal := self.pages.managing_refusal(request.headers.items())) is not None:
            raise web.HTTPForbidden(reason=refusal)
        if not is_open and not bears_one_of(self.keys, request):
            raise web.HTTPUnauthorized(reason=_WANTED)


def bears_one_of(keys: Iterable[str], request: web.BaseRequest) -> bool:
    """Whether a call bears one of these keys."""
    given = request.headers.get("Authorization", "").encode(errors="replace")
    # Each is compared, so that the time tells nothing of which.
    compared = [compare_digest(given, f"Bearer {key}".encode()) for key in keys]
    return any(compared)


def over_unix_socket(request: web.BaseRequest) -> bool:
    """Whether a call came over a Unix socket, which only its owner may open."""
    transport = request.transport
    return transport is not None and isinstance(transport.get_extra_info("sockname"), str | bytes)
