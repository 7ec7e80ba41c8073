"""The management port: metrics and health, for programs of this machine, without a signature."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from nearstream.frontdoor.metrics import FrontDoorMetrics
from nearstream.telemetry.metrics import CONTENT_TYPE
from nearstream.wire.browsers import PageRules

HEALTH_PATH = "/health"
METRICS_PATH = "/metrics"


def metrics_page(metrics: FrontDoorMetrics) -> web.Response:
    """The figures, in Prometheus' text format."""
    return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})


def management(
    metrics: FrontDoorMetrics, health: Callable[[str, str], web.Response], pages: PageRules
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """A handler; `health` answers a method and a path: /health or one below it. No page may call."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if (refusal := pages.refusal(request.headers.items())) is not None:
            return web.json_response({"message": refusal}, status=403)
        path = request.raw_path.partition("?")[0]
        if path == HEALTH_PATH or path.startswith(f"{HEALTH_PATH}/"):
            return health(request.method, path)
        if path != METRICS_PATH:
            return web.Response(status=404)
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        return metrics_page(metrics)

    return handle
