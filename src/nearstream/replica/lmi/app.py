"""The LMI server's routes: /ping, /invocations, /predictions, and OpenAI's in the releases that have them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from nearstream.core.errors import NearstreamError
from nearstream.core.rates import Rate
from nearstream.replica.access import ManagementAccess
from nearstream.replica.calls import Call
from nearstream.replica.host import refuse_as
from nearstream.replica.lmi.adapter_routes import AdapterManagement
from nearstream.replica.lmi.error_rates import ErrorRates, kind_of
from nearstream.replica.lmi.inbound import read
from nearstream.replica.lmi.management import Management
from nearstream.replica.lmi.pages import shown
from nearstream.replica.lmi.registry import Registered, Registry, Status
from nearstream.replica.middleware import (
    errors_answered,
    key_checked,
    on_every_response,
    pages_checked,
)
from nearstream.replica.operation import CallHandler, Operation
from nearstream.replica.responses import error_response
from nearstream.telemetry.djl import DjlMetrics
from nearstream.wire.browsers import PageRules
from nearstream.wire.dialects.lmi.errors import LmiErrors
from nearstream.wire.dialects.lmi.terms import LmiRelease

# As DJL Serving has them on every answer, so that nothing on the way keeps one.
UNCACHED = {"Pragma": "no-cache", "Cache-Control": "no-cache; no-store, must-revalidate, private"}
CALLS = ("/invocations", "/predictions/{model}", "/predictions/{model}/{version}", "/models/{model}/invoke")
_MULTI_STATUS = 207
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Front:
    """Settings of the server's routes."""

    release: LmiRelease
    max_request_bytes: int
    api_key: str | None = None
    management: ManagementAccess = field(default_factory=ManagementAccess)
    """Who may register models and take them away; that runs their code."""
    error_rates: Mapping[str, Rate] = field(default_factory=dict)
    """How many calls may fail before /ping says so, as ErrorRates takes them."""
    pages: PageRules = field(default_factory=PageRules)
    """Whose pages may call, and by which names."""


def build_app(registry: Registry, operation: Operation, metrics: DjlMetrics, front: Front) -> web.Application:
    """The application around a registry; its models may come later."""
    errors, management = LmiErrors(front.release), front.management
    app = web.Application(
        client_max_size=front.max_request_bytes,
        middlewares=[
            _responses_counted(metrics),
            pages_checked(front.pages, errors),
            key_checked(front.api_key, others=front.management.keys),
            errors_answered(errors),
        ],
    )
    refuse_as(app, LmiErrors(front.release))
    app.on_response_prepare.append(_on_every_response)
    app.on_response_prepare.append(on_every_response(front.pages))
    rates = ErrorRates(front.error_rates, time.perf_counter)
    invocations = operation.counted(_failures_counted(rates, Invocations(registry, front.release).invoke))
    app.router.add_get("/ping", Ping(registry, rates).ping)
    app.router.add_get("/metrics", operation.metrics)
    app.router.add_post("/abort/{request_id}", management.changing(operation.abort))
    for path in CALLS:
        app.router.add_post(path, invocations)
    if front.release.by_body:
        for path in ("/v1/chat/completions", "/v1/completions"):
            app.router.add_post(path, invocations)
    AdapterManagement(registry).add_routes(app.router, management)
    Management(registry).add_routes(app.router, management)
    return app


@dataclass(frozen=True, slots=True)
class Invocations:
    """Brings a call to the model that it is for."""

    registry: Registry
    release: LmiRelease

    async def invoke(self, request: web.Request, call: Call) -> web.StreamResponse:
        """Raises web.HTTPBadRequest where several models could be meant."""
        inbound = await read(request)
        name = request.match_info.get("model") or inbound.model or self.registry.only()
        if name is None:
            raise web.HTTPBadRequest(reason="Parameter model_name is required.")
        try:
            version = request.match_info.get("version") or inbound.version
            with self.registry.choose(name, version).using() as served:
                return await served.answer(request, inbound, call)
        except NearstreamError as error:
            call.failed(error)
            return error_response(LmiErrors(self.release, name).error(error))


@dataclass(frozen=True, slots=True)
class Ping:
    """How the models are, each by name."""

    registry: Registry
    rates: ErrorRates

    async def ping(self, request: web.Request) -> web.Response:
        """200 when all are well, 207 while one is loading, 500 when one failed or does not answer.

        503 while more calls fail than may.
        """
        found = {_title(model): await _condition(model) for model in self.registry.all()}
        conditions = set(found.values())
        if conditions & {"Failed", "Unhealthy"}:
            status = web.HTTPInternalServerError.status_code
        elif self.rates.exceeded():
            status = web.HTTPServiceUnavailable.status_code
        elif "Pending" in conditions or not found:
            status = _MULTI_STATUS
        else:
            status = web.HTTPOk.status_code
        return shown({name: {"status": condition} for name, condition in found.items()}, status)


def _title(model: Registered) -> str:
    source = model.source
    return source.name if source.version is None else f"{source.name}:{source.version}"


async def _condition(model: Registered) -> str:
    if model.status is Status.READY and model.served is not None:
        return "Healthy" if await model.served.healthy() else "Unhealthy"
    return "Failed" if model.status is Status.FAILED else "Pending"


def _responses_counted(metrics: DjlMetrics) -> Middleware:
    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if request.method == "POST":
            metrics.answered(response.status)
        return response

    return count


def _failures_counted(rates: ErrorRates, handler: CallHandler) -> CallHandler:
    async def handle(request: web.Request, call: Call) -> web.StreamResponse:
        try:
            response = await handler(request, call)
        except (web.HTTPException, web.RequestPayloadError, NearstreamError, ConnectionError):
            raise  # what the client sent, or that it left
        except Exception:
            _log_exceeded(rates.failed("server"))
            raise
        kind = kind_of(call.cause, response.status)
        if kind is not None:
            _log_exceeded(rates.failed(kind))
        return response

    return handle


def _log_exceeded(exceeded: tuple[str, ...]) -> None:
    if exceeded:
        _log.warning("error rate exceeded", rates=list(exceeded), ping=web.HTTPServiceUnavailable.status_code)


async def _on_every_response(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(UNCACHED)
