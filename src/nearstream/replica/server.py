"""A model server around one engine: its parts, and what it holds open while it serves."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from nearstream.core.ports import Engine
from nearstream.replica.adapters import Adapters
from nearstream.replica.admission import Admission
from nearstream.replica.calls import Calls
from nearstream.replica.encoding import TextEncoder
from nearstream.replica.host import Place, host
from nearstream.replica.operation import Operation
from nearstream.replica.prompts import Entropy
from nearstream.replica.readiness import Readiness, ServedModel
from nearstream.replica.responses import ServerContext
from nearstream.replica.scheduler import Scheduler
from nearstream.replica.settings import ServerSettings
from nearstream.replica.templates.renderer import template_renderer
from nearstream.telemetry.metrics import Gauge
from nearstream.telemetry.spans import Trace, untraced
from nearstream.telemetry.tgi import TgiMetrics
from nearstream.text.template_sources import template_sources
from nearstream.text.tokenizer import load_tokenizer

AppBuilder = Callable[[ServerContext, Operation, Adapters], web.Application]
EngineFactory = Callable[[], AbstractAsyncContextManager[Engine]]


@dataclass(frozen=True, slots=True)
class Api:
    """What a model server speaks: its routes, and what the names of its metrics begin with."""

    build_app: AppBuilder
    metrics_prefix: str


async def serve(  # noqa: PLR0913 - all but two are named
    settings: ServerSettings,
    engine_factory: EngineFactory,
    *,
    api: Api,
    adapters: Adapters | None = None,
    stop: asyncio.Event | None = None,
    trace: Trace = untraced,
    on_listening: Callable[[Sequence[str]], None] = lambda addresses: None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until `stop` is set (without it: until SIGTERM or SIGINT), then drain and return.

    Listens at once and answers 503 until `engine_factory`'s engine is open, which it must be warm by then;
    or, as `settings` may say, listens only then.
    `adapters` are those that `settings.terms.adapters` looks up. `on_listening` gets the addresses,
    `http://host:port` and `unix:/path`; `trace` gets each call once it has ended. Raises Unusable for a
    model, an adapter or an address that cannot be used, and what the factory raises.
    """
    readiness, scheduler = Readiness(), _scheduler(settings)
    operation = _operation(settings, scheduler, trace, api.metrics_prefix)
    adapters = adapters or Adapters()
    opening: AbstractAsyncContextManager[ServedModel] = _opened(
        settings, _adapted(engine_factory, adapters), scheduler
    )
    async with AsyncExitStack() as held:
        if settings.listens_when_warm:
            model = await held.enter_async_context(opening)
            readiness.open(model)
            opening = nullcontext(model)
        await host(
            api.build_app(_context(settings, readiness), operation, adapters),
            Place(settings.host, settings.port, settings.socket, grace_s=settings.grace_s),
            hold=_hold(opening, readiness, on_ready),
            drain=readiness.drain,
            stop=stop,
            on_listening=on_listening,
        )


def _context(settings: ServerSettings, readiness: Readiness) -> ServerContext:
    return ServerContext(
        settings=settings,
        readiness=readiness,
        admission=Admission(settings.terms.limits.max_concurrent_requests),
        entropy=Entropy(now=lambda: datetime.now(UTC), seed=lambda: secrets.randbits(63)),
        clock=time.perf_counter,
        new_id=lambda: secrets.token_hex(12),
    )


def _scheduler(settings: ServerSettings) -> Scheduler:
    limits = settings.terms.limits
    return Scheduler(
        max_size=settings.max_batch_size,
        max_tokens=settings.max_batch_tokens,
        # Every admitted call may ask for several answers at once.
        max_waiting=limits.max_concurrent_requests * max(limits.max_best_of, limits.max_client_batch_size),
    )


def _operation(settings: ServerSettings, scheduler: Scheduler, trace: Trace, prefix: str) -> Operation:
    limits, max_tokens = settings.terms.limits, settings.batch_tokens
    metrics = TgiMetrics(
        max_input_tokens=limits.max_input_tokens, max_total_tokens=limits.max_total_tokens, prefix=prefix
    )
    calls = Calls(metrics, time.perf_counter, lambda: secrets.token_hex(12), trace=trace)
    gauges = (
        Gauge(
            f"{prefix}_queue_size",
            "Requests that wait for a place",
            read=lambda: scheduler.waiting,
        ),
        Gauge(f"{prefix}_batch_current_size", "Requests in the batch", read=lambda: scheduler.size),
        Gauge(f"{prefix}_batch_current_max_tokens", "Tokens these may reach", read=lambda: scheduler.tokens),
        Gauge(f"{prefix}_batch_max_total_tokens", "Tokens the scheduler may reach", read=lambda: max_tokens),
    )
    return Operation(calls, gauges)


def _adapted(engine_factory: EngineFactory, adapters: Adapters) -> EngineFactory:
    """The engine with the adapters that it begins with."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Engine]:
        async with engine_factory() as engine:
            yield await adapters.open(engine)

    return opened


@asynccontextmanager
async def _opened(
    settings: ServerSettings, engine_factory: EngineFactory, scheduler: Scheduler
) -> AsyncIterator[ServedModel]:
    """The model with all that it is served with, warm."""
    tokenizer = await asyncio.to_thread(load_tokenizer, settings.model_directory)
    renderer = template_renderer(template_sources(settings.model_directory), tokenizer.special)
    async with renderer as template, engine_factory() as engine:
        yield ServedModel(engine, tokenizer, TextEncoder(tokenizer), template, scheduler)


async def _hold(
    opening: AbstractAsyncContextManager[ServedModel], readiness: Readiness, on_ready: Callable[[], None]
) -> None:
    """Keep the model open until cancelled."""
    async with opening as model:
        readiness.open(model)
        on_ready()
        await asyncio.Event().wait()
