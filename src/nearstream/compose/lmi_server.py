"""Builds one model server that stands in for the LMI container."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from nearstream.compose.model_server import DEFAULT_CONTEXT_TOKENS, traces
from nearstream.config.container import ContainerSettings
from nearstream.config.home import Home
from nearstream.config.serving.read import read_serving
from nearstream.config.serving.settings import NO_ROLLING_BATCH, ServingSettings
from nearstream.core.aliases import Aliases, apply_aliases
from nearstream.core.errors import Unusable
from nearstream.core.ports import Engine
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.engines.openvino.settings import EngineSettings
from nearstream.models.directory import ModelDirectory
from nearstream.models.resolve import resolve
from nearstream.replica.admission import Admission
from nearstream.replica.answer import Chances
from nearstream.replica.batch import Batch
from nearstream.replica.calls import note
from nearstream.replica.host import Place
from nearstream.replica.lmi.app import Front
from nearstream.replica.lmi.built_in import BuiltIn
from nearstream.replica.lmi.served import Served, Source
from nearstream.replica.lmi.server import LmiServerSettings, Parts, serve
from nearstream.replica.lmi.sessions import SessionDesk, Sessions
from nearstream.replica.readiness import Readiness, ServedModel
from nearstream.replica.reply import Desk
from nearstream.replica.scheduled import ScheduledEngine
from nearstream.replica.settings import ServerSettings
from nearstream.telemetry.djl import DjlMetrics
from nearstream.text.template import load_template
from nearstream.text.tokenizer import load_tokenizer
from nearstream.wire.dialects import lmi
from nearstream.wire.dialects.lmi_terms import Format, LmiRelease, LmiTerms, lmi_release
from nearstream.wire.dialects.terms import Limits, Release, Terms

log = structlog.get_logger()
clock = time.time  # noqa: TID251 - registrations tell the date
# What SageMaker's containers call the model that they were started with.
MODEL_NAME = "model"
LMI_BATCH_TEXTS = 32
LEVELS = {"info": logging.INFO, "warning": logging.WARNING}


@dataclass(frozen=True, slots=True)
class LmiOptions:
    """What `nearstream serve --as lmi` was told. `model_id` is what answers call the model."""

    model_dir: Path | None
    model: str | None
    model_id: str | None
    version: str
    place: Place


@dataclass(frozen=True, slots=True)
class Shop:
    """What every model of the server is opened with."""

    options: LmiOptions
    release: LmiRelease
    environ: Mapping[str, str]
    cache: Path
    aliases: Aliases
    metrics: DjlMetrics


async def lmi_server(
    options: LmiOptions,
    container: ContainerSettings,
    home: Home,
    *,
    environ: Mapping[str, str],
    aliases: Aliases,
) -> None:
    """Serve until SIGTERM. Raises Unusable for a model, a setting or an address that cannot be used."""
    release, metrics = lmi_release(options.version), DjlMetrics()
    shop = Shop(options, release, environ, home.cache, aliases, metrics)
    serving, _ = read_serving(options.model_dir, environ, version=release.version)
    source = _at_startup(options)
    settings = LmiServerSettings(
        place=options.place,
        front=Front(release, serving.max_request_bytes, container.api_key),
        sources=(source,),
    )
    with traces(container) as trace:
        await serve(
            settings,
            Parts(partial(opened, shop), metrics, clock, trace),
            on_listening=lambda addresses: log.info("listening", addresses=list(addresses)),
            on_ready=lambda: log.info("ready", model=source.name),
        )


def _at_startup(options: LmiOptions) -> Source:
    """The model of the start. A replica's lies wherever it was unpacked, which is no name."""
    if options.model_dir is None:
        return Source(MODEL_NAME, at_startup=True)
    folder = options.model_dir.absolute()
    name = folder.name if options.place.socket is None else MODEL_NAME
    return Source(name or MODEL_NAME, str(folder), at_startup=True)


@asynccontextmanager
async def opened(shop: Shop, source: Source) -> AsyncIterator[Served]:
    """One model, loaded. Raises Unusable."""
    serving = _settings(shop, source)
    async with _built_in(shop, source, serving) as served:
        yield served


def _settings(shop: Shop, source: Source) -> ServingSettings:
    directory = Path(source.url) if source.url else None
    # What a registration says fills in what the model's own file leaves open, as the environment does.
    told = {f"SERVING_{key.upper()}": value for key, value in source.settings.items()}
    serving, remarks = read_serving(directory, {**shop.environ, **told}, version=shop.release.version)
    for remark in remarks:
        log.log(LEVELS[remark.level], remark.message, model=source.name, **remark.fields)
    return serving


@asynccontextmanager
async def _built_in(shop: Shop, source: Source, serving: ServingSettings) -> AsyncIterator[Served]:
    """A model on the engine."""
    asked = shop.options.model or serving.model_id
    model = await _model(shop, source, serving, asked)
    engine = EngineSettings(
        model=model.model,
        context_tokens=model.context_tokens,
        vocab_size=model.vocab_size,
        kv_bytes_per_token=model.kv_bytes_per_token,
        max_seqs=serving.max_rolling_batch_size,
    )
    terms = _terms(
        shop, source, serving, min(model.context_tokens or DEFAULT_CONTEXT_TOKENS, engine.request_tokens)
    )
    settings = ServerSettings(
        model_id=shop.options.model_id or asked or source.name,
        model_directory=model.path,
        terms=terms.tgi,
        compute_type=None,
    )
    readiness = Readiness()
    desk = Desk(
        settings=settings,
        readiness=readiness,
        admission=Admission(serving.job_queue_size, on_failure=note),
        chances=Chances(now=lambda: datetime.now(UTC), seed=lambda: secrets.randbits(63)),
        clock=time.perf_counter,
        new_id=lambda: secrets.token_hex(12),
    )
    batch = Batch(
        max_size=serving.max_rolling_batch_size, max_tokens=None, max_waiting=serving.job_queue_size
    )
    async with OpenVINOEngine.open(engine) as opened_engine:
        readiness.open(_served_model(opened_engine, batch, model.path))
        read = partial(lmi.read, terms=terms)
        yield BuiltIn(desk, batch, read, serving.job_queue_size, clock(), _sessions(shop, serving))


def _sessions(shop: Shop, serving: ServingSettings) -> SessionDesk | None:
    if serving.enable_stateful_sessions:
        return SessionDesk(Sessions(clock, lasting_s=serving.sessions_expiration_s))
    return SessionDesk(None) if shop.release.by_body else None


def _served_model(engine: Engine, batch: Batch, path: Path) -> ServedModel:
    tokenizer = load_tokenizer(path)
    return ServedModel(ScheduledEngine(engine, batch), tokenizer, load_template(path, tokenizer.special))


async def _model(shop: Shop, source: Source, serving: ServingSettings, asked: str | None) -> ModelDirectory:
    """The one that is asked for, or what stands in for it; else the one in the folder itself."""
    if asked is None and serving.directory is None:
        raise Unusable(
            "Which model to run is not said: set option.model_id in serving.properties, HF_MODEL_ID in the "
            "environment, or give a --model-dir that holds one."
        )
    runs = str(serving.directory) if asked is None else apply_aliases(asked, shop.aliases)
    if asked is not None and runs != asked:
        log.info("one model stands in for another", asked=asked, runs=runs)
    return await resolve(
        runs,
        cache=shop.cache,
        progress=lambda text: log.info("preparing the model", model=source.name, progress=text),
    )


def _terms(shop: Shop, source: Source, serving: ServingSettings, context: int) -> LmiTerms:
    total = min(serving.max_model_len or context, context)
    limits = Limits(
        max_input_tokens=total - 1,
        max_total_tokens=total,
        max_client_batch_size=LMI_BATCH_TEXTS,
        max_concurrent_requests=serving.job_queue_size,
        payload_limit_bytes=serving.max_request_bytes,
    )
    form = Format(
        formatter=serving.output_formatter,
        streaming=serving.enable_streaming,
        rolling_batch=serving.rolling_batch != NO_ROLLING_BATCH,
        tgi_compat=serving.tgi_compat,
    )
    tgi = Terms(replace(Release(), version=shop.release.version), limits)
    return LmiTerms(shop.release, form, limits, tgi, model=source.name)
