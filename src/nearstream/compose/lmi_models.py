"""Opens the models of an LMI server: on our engine, or with a handler of their own."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from nearstream.compose.model_server import DEFAULT_CONTEXT_TOKENS, prepared_adapters
from nearstream.config.serving.read import read_serving
from nearstream.config.serving.settings import NO_ROLLING_BATCH, ServingSettings
from nearstream.config.settings import AWS_KEYS
from nearstream.core.aliases import Aliases, apply_aliases
from nearstream.core.errors import Unusable
from nearstream.core.ports import Clock
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.engines.openvino.settings import EngineSettings
from nearstream.handlers.settings import HandlerSettings
from nearstream.handlers.workers import HandlerWorkers
from nearstream.models.adapters_base import adaptable_modules
from nearstream.models.convert import WeightFormat
from nearstream.models.directory import ModelDirectory
from nearstream.models.hub import parse_hub_id
from nearstream.models.local import local_folder
from nearstream.models.resolve import resolve
from nearstream.replica.adapters import Adapters
from nearstream.replica.admission import Admission
from nearstream.replica.lmi.built_in import BuiltIn
from nearstream.replica.lmi.handled import Handled
from nearstream.replica.lmi.served import Served, Source
from nearstream.replica.lmi.sessions import SessionHandler, Sessions
from nearstream.replica.prompts import Entropy
from nearstream.replica.readiness import Readiness, ServedModel
from nearstream.replica.responses import ServerContext
from nearstream.replica.scheduler import Scheduler
from nearstream.replica.settings import ServerSettings
from nearstream.telemetry.djl import DjlMetrics
from nearstream.text.template import ChatTemplate, load_template
from nearstream.text.tokenizer import SpecialTokens, load_tokenizer
from nearstream.wire.dialects.hf.terms import Release, Terms
from nearstream.wire.dialects.limits import Limits
from nearstream.wire.dialects.lmi import generate as lmi
from nearstream.wire.dialects.lmi.terms import Format, LmiRelease, LmiTerms

log = structlog.get_logger()
# How many texts one body may hold.
MAX_INPUTS = 32
ADAPTERS = "adapters"
S3 = "s3://"
OWN_VARIABLES = "NEARSTREAM_"
S3_VARIABLE = "NEARSTREAM_S3_URL"
LEVELS = {"info": logging.INFO, "warning": logging.WARNING}
# What asks for smaller weights as a checkpoint is loaded; other names are of formats that it has already.
_WEIGHTS: dict[str | None, WeightFormat] = {
    "bitsandbytes": "int8",
    "bitsandbytes8": "int8",
    "dynamic_int8": "int8",
    "static_int8": "int8",
    "smoothquant": "int8",
    "int8": "int8",
    "bitsandbytes4": "int4",
    "int4": "int4",
}


@dataclass(frozen=True, slots=True)
class Shop:
    """What every model of a server is opened with. `asked` and `model_id` stand above what settings say."""

    release: LmiRelease
    environ: Mapping[str, str]
    cache: Path
    aliases: Aliases
    metrics: DjlMetrics
    clock: Clock
    """Seconds since the epoch."""
    fetch: Callable[[str], Awaitable[Path]]
    """Brings what an s3:// address names."""
    asked: str | None = None
    """The model that the command line names."""
    model_id: str | None = None
    """What answers call the model."""


@asynccontextmanager
async def open_model(shop: Shop, source: Source) -> AsyncIterator[Served]:
    """Load a model and keep it. Raises Unusable."""
    directory = await folder_of(shop, source.url) if source.url else None
    serving = _settings(shop, source, directory)
    own = serving.own_handler
    loading = _built_in(shop, source, serving) if own is None else _handled(shop, source, serving, own)
    async with loading as served:
        yield served


async def folder_of(shop: Shop, url: str) -> Path:
    """Where the model lies that an address names: here, or brought here from S3. Raises Unusable."""
    return await shop.fetch(url) if url.startswith(S3) else await local_folder(url, shop.cache)


def _settings(shop: Shop, source: Source, directory: Path | None) -> ServingSettings:
    # What a registration says fills in what the model's own file leaves open, as the environment does.
    told = {f"SERVING_{key.upper()}": value for key, value in source.settings.items()}
    serving, remarks = read_serving(directory, {**shop.environ, **told}, version=shop.release.version)
    for remark in remarks:
        log.log(LEVELS[remark.level], remark.message, model=source.name, **remark.fields)
    return serving


@asynccontextmanager
async def _handled(shop: Shop, source: Source, serving: ServingSettings, own: str) -> AsyncIterator[Served]:
    """A model with a handler of its own, which came with the folder that the operator named."""
    if serving.directory is None:
        raise Unusable(
            f"option.entryPoint is {own!r}, and there is no folder to find it in: give --model-dir."
        )
    settings = HandlerSettings(
        model=source.name,
        directory=serving.directory,
        cache=shop.cache,
        entry_point=own,
        handler=serving.handler,
        properties={**serving.arguments, **serving.options, "model_dir": str(serving.directory)},
        environment={**_containers(shop.environ), **serving.handler_environment},
        min_workers=serving.min_workers,
        max_workers=serving.max_workers,
        max_idle_time_s=serving.max_idle_time_s,
        batch_size=serving.batch_size,
        max_batch_delay_ms=serving.max_batch_delay_ms,
        job_queue_size=serving.job_queue_size,
        retry_threshold=serving.retry_threshold,
        loading_timeout_s=serving.model_loading_timeout_s,
        predict_timeout_s=serving.predict_timeout_s,
        stream_timeout_s=serving.chunked_read_timeout_s,
    )
    async with HandlerWorkers.open(settings) as workers:
        yield Handled(workers, shop.release, shop.metrics, time.perf_counter)


def _containers(environ: Mapping[str, str]) -> dict[str, str]:
    """What a user's code may see: the container's variables, none of the server's own, nor its keys."""
    kept = AWS_KEYS if environ.get(S3_VARIABLE) else ()
    return {
        name: value for name, value in environ.items() if not (name.startswith(OWN_VARIABLES) or name in kept)
    }


@asynccontextmanager
async def _built_in(shop: Shop, source: Source, serving: ServingSettings) -> AsyncIterator[Served]:
    """A model on the engine."""
    asked = (shop.asked if source.at_startup else None) or serving.model_id
    called = (shop.model_id if source.at_startup else None) or asked or source.name
    model = await _model(shop, source, serving, asked)
    settings = _engine_settings(serving, model)
    with _adapters(shop, serving, settings, called) as adapters:
        context = min(model.context_tokens or DEFAULT_CONTEXT_TOKENS, settings.request_tokens)
        terms = _terms(shop, source, serving, adapters=adapters or (), context=context)
        tokenizer = load_tokenizer(model.path)
        template = _template(serving, model.path, tokenizer.special)
        scheduler = Scheduler(
            max_size=serving.max_rolling_batch_size, max_tokens=None, max_waiting=serving.job_queue_size
        )
        async with OpenVINOEngine.open(settings) as running:
            engine = running if adapters is None else await adapters.open(running)
            ready = ServedModel(engine, tokenizer, template, scheduler)
            yield BuiltIn(
                context=_context(
                    ServerSettings(called, model.path, terms.tgi, compute_type=None), serving, ready
                ),
                scheduler=scheduler,
                read=partial(lmi.read, terms=terms),
                queue_size=serving.job_queue_size,
                started_at=shop.clock(),
                sessions=_sessions(shop, serving),
                adapters=adapters,
            )


def _engine_settings(serving: ServingSettings, model: ModelDirectory) -> EngineSettings:
    return EngineSettings(
        model=model.model,
        context_tokens=model.context_tokens,
        vocab_size=model.vocab_size,
        kv_bytes_per_token=model.kv_bytes_per_token,
        max_seqs=serving.max_rolling_batch_size,
        adaptable=adaptable_modules(model.model) if serving.enable_lora else {},
        # Each that answers beside another takes memory: more than one only where somebody asks for it.
        adapter_lanes=serving.max_loras if "max_loras" in serving.options else 1,
        start_timeout_s=serving.model_loading_timeout_s,
    )


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


@contextmanager
def _adapters(
    shop: Shop, serving: ServingSettings, engine: EngineSettings, called: str
) -> Iterator[Adapters | None]:
    """Those in the model's folder `adapters`, and what is registered later; None: it takes none."""
    if not serving.enable_lora:
        yield None
        return
    folder = None if serving.directory is None else serving.directory / ADAPTERS
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder and folder.is_dir() else []
    configured = [(path.name, str(path)) for path in found]
    with prepared_adapters(shop.cache, engine.adaptable, configured, taken=called) as adapters:
        yield adapters


def _sessions(shop: Shop, serving: ServingSettings) -> SessionHandler | None:
    if serving.enable_stateful_sessions:
        return SessionHandler(Sessions(shop.clock, lasting_s=serving.sessions_expiration_s))
    return SessionHandler(None) if shop.release.by_body else None


async def _model(shop: Shop, source: Source, serving: ServingSettings, asked: str | None) -> ModelDirectory:
    found = _found(shop, serving, asked)
    return await resolve(
        str(await shop.fetch(found)) if found.startswith(S3) else found,
        cache=shop.cache,
        weights=_WEIGHTS.get(serving.quantize) or _WEIGHTS.get(serving.dtype) or "fp16",
        progress=lambda text: log.info("preparing the model", model=source.name, progress=text),
    )


def _found(shop: Shop, serving: ServingSettings, asked: str | None) -> str:
    """The model that is asked for, or what stands in for it; else the one in the folder itself."""
    if asked is None:
        if serving.directory is None:
            raise Unusable(
                "Which model to run is not said: set option.model_id in serving.properties, HF_MODEL_ID in "
                "the environment, or give a --model-dir that holds one."
            )
        return str(serving.directory)
    runs = apply_aliases(asked, shop.aliases)
    if runs != asked:
        log.info("one model stands in for another", asked=asked, runs=runs)
        return runs
    hub_id = None if Path(runs).exists() else parse_hub_id(runs)
    if hub_id is None or hub_id.revision is not None or serving.revision is None:
        return runs
    return f"{runs}@{serving.revision}"


def _template(serving: ServingSettings, path: Path, special: SpecialTokens) -> ChatTemplate | None:
    """option.chat_template names a file in the model's folder, or is the template itself."""
    given = serving.chat_template
    if given is None:
        return load_template(path, special)
    file = (serving.directory or path) / given if "{" not in given else None
    if file is None:
        return ChatTemplate(given, special)
    try:
        return ChatTemplate(file.read_text(encoding="utf-8"), special)
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"option.chat_template names {file}, which cannot be read: {error}") from error


def _terms(
    shop: Shop, source: Source, serving: ServingSettings, *, adapters: Container[str], context: int
) -> LmiTerms:
    total = min(serving.max_model_len or context, context)
    limits = Limits(
        max_input_tokens=total - 1,
        max_total_tokens=total,
        max_client_batch_size=MAX_INPUTS,
        max_concurrent_requests=serving.job_queue_size,
        payload_limit_bytes=serving.max_request_bytes,
    )
    form = Format(
        formatter=serving.output_formatter,
        streaming=serving.enable_streaming,
        rolling_batch=serving.rolling_batch != NO_ROLLING_BATCH,
        tgi_compat=serving.tgi_compat,
    )
    tgi = Terms(replace(Release(), version=shop.release.version), limits, adapters)
    return LmiTerms(shop.release, form, limits, tgi, model=source.name)
