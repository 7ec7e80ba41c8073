"""The front door: routes each request to the API, the object store or a page of the site itself."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from nearstream.core.errors import Missing, NearstreamError
from nearstream.frontdoor import api
from nearstream.frontdoor import pages as browsers
from nearstream.frontdoor.access import Access
from nearstream.frontdoor.api import Api
from nearstream.frontdoor.management import HEALTH_PATH, METRICS_PATH, metrics_page
from nearstream.frontdoor.metrics import FrontDoorMetrics
from nearstream.frontdoor.objects.dispatch import Objects
from nearstream.frontdoor.view import SiteView
from nearstream.wire.aws.errors import AwsError, translate
from nearstream.wire.aws.s3 import request as s3
from nearstream.wire.aws.signed_request import RawRequest
from nearstream.wire.browsers import PageRules

OWN_PATHS: Final = ("/endpoints/", HEALTH_PATH, METRICS_PATH, "/nearstream/")
_ERRORS: Final = {NearstreamError: "InternalFailure"}

log = structlog.get_logger()


class FrontDoor:
    """One handler for every request."""

    def __init__(
        self,
        *,
        api: Api,
        access: Access,
        view: SiteView,
        metrics: FrontDoorMetrics,
        objects: Objects | None = None,
        pages: PageRules | None = None,
    ) -> None:
        self._pages = pages or PageRules()
        self._metrics = metrics
        self._api = api
        self._access = access
        self._view = view
        self._objects = objects

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; a failure is answered in the protocol of the service that was called."""
        request_id, call = str(uuid.uuid4()), _read(request)
        try:
            answered = await self._admitted(request, call, request_id)
        except ConnectionError:
            raise  # the client has left
        except NearstreamError as error:
            answered = api.failure(call, translate(error, _ERRORS, {}), request_id)
        except Exception:
            log.exception("request failed", request_id=request_id, path=request.path)
            message = f"The request failed inside nearstream; id {request_id}."
            answered = api.failure(call, AwsError("InternalFailure", message, 500), request_id)
        if not answered.prepared:
            browsers.readable(request, answered)
        if not (answered.prepared or request.content.is_eof()):
            answered.force_close()  # the rest of the body is not wanted
        return answered

    async def _admitted(
        self, request: web.BaseRequest, call: RawRequest, request_id: str
    ) -> web.StreamResponse:
        """Raises AwsError for a page of a browser that may not call."""
        if (refusal := browsers.refusal(self._pages, request)) is not None:
            raise AwsError("AccessDeniedException", refusal, 403)
        preflight = browsers.preflight(self._pages, request)
        return await self._route(request, call, request_id) if preflight is None else preflight

    async def _route(self, request: web.BaseRequest, call: RawRequest, request_id: str) -> web.StreamResponse:
        if self._objects is not None and (
            s3.is_signed_for(call) or (s3.is_unsigned(call) and not call.path.startswith(OWN_PATHS))
        ):
            return await self._objects.handle(request, call, request_id)
        if call.path == HEALTH_PATH or call.path.startswith(f"{HEALTH_PATH}/"):
            return self.health(call.method, call.path)
        if call.path == METRICS_PATH:
            self._access.check_bodiless(call)
            return metrics_page(self._metrics)
        if call.path == "/nearstream/status":
            self._access.check_bodiless(call)
            return _json(self._view.status())
        return await self._api.handle(request, call, request_id)

    def health(self, method: str, path: str) -> web.Response:
        """The answer to a call of /health, or of a path below it."""
        if method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        try:
            serves = self._view.serves(path.removeprefix(HEALTH_PATH).removeprefix("/") or None)
        except Missing as error:
            return _json({"message": str(error)}, 404)
        return _json(self._view.health(serves=serves), 200 if serves else 503)


def _read(request: web.BaseRequest) -> RawRequest:
    """The request up to its body."""
    path, _, query = request.raw_path.partition("?")
    return RawRequest(request.method, path, query, tuple(request.headers.items()), None)


def _json(document: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, content_type="application/json", body=msgspec.json.encode(document))
