"""Loads the models of an LMI server: on an engine, or with a handler of their own."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from nearstream.config.serving.read import read_serving
from nearstream.config.serving.settings import ServingSettings
from nearstream.core.aliases import Aliases, apply_aliases
from nearstream.core.errors import Unusable
from nearstream.core.ports import Clock
from nearstream.core.restrictions import UNRESTRICTED, Restrictions
from nearstream.engines.settings import EngineSettings
from nearstream.engines.table import EngineKind
from nearstream.handlers.workers import HandlerWorkers
from nearstream.models.directory import DEFAULT_CONTEXT_TOKENS, ModelDirectory
from nearstream.models.hub import with_revision
from nearstream.models.local import local_folder
from nearstream.models.lora.store import adapter_store
from nearstream.models.pickles import check_pickles
from nearstream.models.resolve import resolve
from nearstream.models.weights import quantised_to
from nearstream.replica.adapters import Adapters
from nearstream.replica.admission import Admission
from nearstream.replica.encoding import TextEncoder
from nearstream.replica.lmi.built_in import BuiltIn
from nearstream.replica.lmi.handled import Handled
from nearstream.replica.lmi.model_settings import (
    adapters_in,
    chat_template,
    check_template,
    engine_settings,
    handler_settings,
    request_terms,
    wire_release,
)
from nearstream.replica.lmi.served import Served, Source
from nearstream.replica.lmi.sessions import SessionHandler, Sessions
from nearstream.replica.prompts import Entropy
from nearstream.replica.readiness import Readiness, ServedModel
from nearstream.replica.responses import ServerContext
from nearstream.replica.scheduler import Scheduler
from nearstream.replica.settings import ServerSettings
from nearstream.replica.templates.renderer import template_renderer
from nearstream.telemetry.djl import DjlMetrics
from nearstream.text.tokenizer import load_tokenizer
from nearstream.wire.dialects.lmi import generate as lmi
from nearstream.wire.dialects.lmi.terms import LmiRelease

_S3 = "s3://"
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ModelLoader:
    """What every model of a server is loaded with."""

    release: LmiRelease
    environ: Mapping[str, str]
    cache: Path
    aliases: Aliases
    engine: EngineKind
    metrics: DjlMetrics
    clock: Clock
    """Seconds since the epoch."""
    fetch: Callable[[str], Awaitable[Path]]
    """Brings what an s3:// address names."""
    restrictions: Restrictions = UNRESTRICTED
    """What the secure mode switches off."""
    model: str | None = None
    """The model that the command line names, which stands above what settings say."""
    model_id: str | None = None
    """What answers call the model of the start."""

    async def settings(self, source: Source) -> ServingSettings:
        """Read the settings of a model, and log what becomes of those that are not as asked.

        Raises Unusable for a model that is not there and for settings that cannot be used.
        """
        folder = None
        if source.url:
            fetched = source.url.startswith(_S3)
            folder = await (self.fetch(source.url) if fetched else local_folder(source.url, self.cache))
        # A registration's settings fill in what the model's own file leaves open, as the environment does.
        registered = {f"SERVING_{key.upper()}": value for key, value in source.settings.items()}
        serving, notices = read_serving(folder, {**self.environ, **registered}, version=self.release.version)
        for notice in notices:
            _log.log(_LEVELS[notice.level], notice.message, model=source.name, **notice.fields)
        return serving

    @asynccontextmanager
    async def open(self, source: Source, *, startup: ServingSettings | None = None) -> AsyncIterator[Served]:
        """Load a model and keep it. Raises Unusable.

        `startup`: the settings of the model of the start, which were read before.
        """
        known = startup if source.at_startup else None
        serving = known or await self.settings(source)
        own = serving.own_handler
        loading = self._on_engine(source, serving) if own is None else self._handled(source, serving, own)
        async with loading as served:
            yield served

    @asynccontextmanager
    async def _handled(
        self, source: Source, serving: ServingSettings, entry_point: str
    ) -> AsyncIterator[Served]:
        self.restrictions.check("custom-code", f"{entry_point} of the model {source.name} is not run")
        settings = handler_settings(
            serving, entry_point, model=source.name, cache=self.cache, environ=self.environ
        )
        if settings.requirements.is_file():
            self.restrictions.check("requirements", f"{settings.requirements} is not installed")
        await asyncio.to_thread(check_pickles, settings.directory, self.restrictions)
        async with HandlerWorkers.open(settings) as workers:
            yield Handled(workers, self.release, self.metrics, time.perf_counter)

    @asynccontextmanager
    async def _on_engine(self, source: Source, serving: ServingSettings) -> AsyncIterator[Served]:
        requested = (self.model if source.at_startup else None) or serving.model_id
        called = (self.model_id if source.at_startup else None) or requested or source.name
        model = await self._resolved(source, serving, requested)
        settings = engine_settings(serving, model)
        prepared = self.engine.prepare(settings)
        check_template(serving, model.path, self.restrictions)
        with self._adapters(serving, settings, called) as adapters:
            context = min(model.context_tokens or DEFAULT_CONTEXT_TOKENS, prepared.request_tokens)
            release = wire_release(self.release, serving)
            terms = request_terms(
                serving, release, model=source.name, adapters=adapters or (), context=context
            )
            tokenizer = load_tokenizer(model.path)
            renderer = template_renderer(chat_template(serving, model.path), tokenizer.special)
            scheduler = Scheduler(
                max_size=serving.max_rolling_batch_size, max_tokens=None, max_waiting=serving.job_queue_size
            )
            async with renderer as template, prepared.open() as running:
                engine = running if adapters is None else await adapters.open(running)
                served = ServerSettings(called, model.path, terms.tgi, compute_type=None)
                ready = ServedModel(engine, tokenizer, TextEncoder(tokenizer), template, scheduler)
                yield BuiltIn(
                    context=_context(served, serving, ready),
                    scheduler=scheduler,
                    read=partial(lmi.read, terms=terms),
                    queue_size=serving.job_queue_size,
                    started_at=self.clock(),
                    sessions=self._sessions(serving, release),
                    adapters=adapters,
                )

    @contextmanager
    def _adapters(
        self, serving: ServingSettings, engine: EngineSettings, called: str
    ) -> Iterator[Adapters | None]:
        """Those in the model's folder, and what is registered later; None: it takes none."""
        if not serving.enable_lora:
            yield None
            return
        with adapter_store(self.cache, engine.adaptable, self.restrictions) as store:
            yield Adapters(store.prepare, adapters_in(serving.directory), taken=called)

    def _sessions(self, serving: ServingSettings, release: LmiRelease) -> SessionHandler | None:
        if serving.enable_stateful_sessions:
            return SessionHandler(Sessions(self.clock, lasting_s=serving.sessions_expiration_s))
        return SessionHandler(None) if release.by_body else None

    async def _resolved(
        self, source: Source, serving: ServingSettings, requested: str | None
    ) -> ModelDirectory:
        name = self._model_name(serving, requested)
        return await resolve(
            str(await self.fetch(name)) if name.startswith(_S3) else name,
            formats=self.engine.formats,
            cache=self.cache,
            weights=quantised_to(serving.quantize, serving.dtype) or "fp16",
            progress=lambda text: _log.info("preparing the model", model=source.name, progress=text),
            restrictions=self.restrictions,
        )

    def _model_name(self, serving: ServingSettings, requested: str | None) -> str:
        """The model that is asked for, or its alias; else the one in the folder itself."""
        if requested is None:
            if serving.directory is None:
                raise Unusable(
                    "Which model to run is not said: set option.model_id in serving.properties, "
                    "HF_MODEL_ID in the environment, or give a --model-dir that holds one."
                )
            return str(serving.directory)
        runs = apply_aliases(requested, self.aliases)
        if runs != requested:
            _log.info("model alias applied", requested=requested, runs=runs)
            return runs
        return with_revision(runs, serving.revision)


def _context(settings: ServerSettings, serving: ServingSettings, model: ServedModel) -> ServerContext:
    readiness = Readiness()
    readiness.open(model)
    return ServerContext(
        settings=settings,
        readiness=readiness,
        admission=Admission(serving.job_queue_size),
        entropy=Entropy(now=lambda: datetime.now(UTC), seed=lambda: secrets.randbits(63)),
        clock=time.perf_counter,
        new_id=lambda: secrets.token_hex(12),
    )
