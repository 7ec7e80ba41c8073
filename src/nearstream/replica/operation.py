"""Operating a server: its metrics, aborting a call, and counting the calls."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from nearstream.core.errors import Invalid
from nearstream.replica.calls import Call, Calls
from nearstream.replica.scheduler import Priority
from nearstream.telemetry.metrics import CONTENT_TYPE, Metric, exposition

CallHandler = Callable[[web.Request, Call], Awaitable[web.StreamResponse]]
"""A handler of a route that generates."""
REQUEST_ID = web.RequestKey("request id", str)
PRIORITY_HEADER = "x-nearstream-priority"
_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


class Operation:
    """`gauges` are shown beside what the calls count."""

    def __init__(self, calls: Calls, gauges: Sequence[Metric] = ()) -> None:
        self.calls = calls
        self._metrics = (*calls.metrics.all(), *gauges)

    def counted(self, handler: CallHandler) -> Handler:
        """Give each request of `handler` a call with an id and a priority, and count how it ended."""

        async def handle(request: web.Request) -> web.StreamResponse:
            with self.calls.enter(_requested_id(request), _priority(request), request.headers) as call:
                request[REQUEST_ID] = call.id
                response = await handler(request, call)
                transport = request.transport
                call.answered(response.status, gone=transport is None or transport.is_closing())
                return response

        return handle

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=exposition(self._metrics), headers={"Content-Type": CONTENT_TYPE})

    async def abort(self, request: web.Request) -> web.Response:
        """End the call that carries this x-request-id; its client gets the error of a failed generation."""
        request_id = request.match_info["request_id"]
        self.calls.abort(request_id)
        body = msgspec.json.encode({"request_id": request_id, "aborted": True})
        return web.Response(body=body, content_type="application/json")


def _requested_id(request: web.Request) -> str | None:
    requested = request.headers.get("x-request-id", "")
    return requested if _ID.fullmatch(requested) else None


def _priority(request: web.Request) -> Priority:
    requested = request.headers.get(PRIORITY_HEADER, "normal")
    try:
        return Priority[requested.upper()]
    except KeyError:
        raise Invalid(f"`{PRIORITY_HEADER}` must be high, normal or low. Given: {requested}") from None
