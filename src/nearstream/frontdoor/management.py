"""The management port: metrics and health, for programs of this machine, without a signature."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from nearstream.frontdoor.metrics import FrontDoorMetrics
from nearstream.telemetry.metrics import CONTENT_TYPE

HEALTH_PATH = "/health"
METRICS_PATH = "/metrics"


def metrics_page(metrics: FrontDoorMetrics) -> web.Response:
    """The figures, in Prometheus' text format."""
    return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})


def management(
    metrics: FrontDoorMetrics, health: Callable[[str, str], web.Response]
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """A handler; `health` answers a method and a path: /health or one below it."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if path == HEALTH_PATH or path.startswith(f"{HEALTH_PATH}/"):
            return health(request.method, path)
        if path != METRICS_PATH:
            return web.Response(status=404)
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        return metrics_page(metrics)

    return handle
