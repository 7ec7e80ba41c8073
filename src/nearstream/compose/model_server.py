"""Builds one model server with the API of TGI, or with OpenAI's alone."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import structlog

from nearstream.compose.protection import Protection, protection
from nearstream.config.container import ContainerSettings
from nearstream.config.settings import Settings
from nearstream.core.restrictions import Restrictions
from nearstream.engines.settings import EngineSettings
from nearstream.engines.table import engine_kind
from nearstream.home.paths import Home
from nearstream.models.directory import DEFAULT_CONTEXT_TOKENS, ModelDirectory
from nearstream.models.hub import with_revision
from nearstream.models.lora.modules import adaptable_modules
from nearstream.models.lora.store import adapter_store
from nearstream.models.resolve import resolve
from nearstream.models.weights import WeightFormat
from nearstream.replica.adapters import Adapters
from nearstream.replica.openai import server as openai
from nearstream.replica.settings import ServerSettings
from nearstream.replica.tgi import server as tgi
from nearstream.replica.tgi.limits import limits
from nearstream.telemetry.spans import Trace, untraced
from nearstream.text.template_sources import template_sources
from nearstream.wire.dialects.hf.terms import LATEST, Release, Terms, tgi_release

log = structlog.get_logger()
Persona = Literal["tgi", "openai"]
_SERVERS = {"tgi": tgi.serve, "openai": openai.serve}


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of `nearstream serve`; `model_id` is the name that clients see."""

    model: str
    model_id: str
    version: str
    host: str
    port: int | None
    uds: Path | None
    weights: WeightFormat = "fp16"
    """What a checkpoint's weights become when it is converted."""
    persona: Persona = "tgi"
    listens_when_warm: bool = False
    """Whether connections are refused until the model is warm."""
    deployed: bool = False
    """Whether the model's data is a deployer's, and not this machine's."""
    open_management: bool = False
    """Whether this machine's users may load adapters and end calls without a key."""


async def model_server(options: ServeOptions, container: ContainerSettings, site: Settings) -> None:
    """Serve one model until SIGTERM. Raises Unusable for a model or an address that cannot be used."""
    cache, kind = Home(site.home).cache, engine_kind(site.engine)
    restrictions = Restrictions(frozenset(site.secure_mode))
    guarded = protection(
        None if options.port is None else options.host,
        site,
        origins=container.cors_allow_origins,
        api_key=container.api_key,
        open_management=options.open_management,
    )
    model = await resolve(
        revised(options, container.hf_model_revision),
        formats=kind.formats,
        cache=cache,
        weights=options.weights,
        progress=lambda text: log.info("preparing the model", progress=text),
        restrictions=restrictions,
    )
    if options.deployed and template_sources(model.path) is not None:
        restrictions.check("chat-templates", f"the chat template in {model.path} is not used")
    if options.model_id != model.name:
        log.info("model alias applied", requested=options.model_id, runs=model.name)
    settings = _engine_settings(container, model)
    engine = kind.prepare(settings)
    release = _release(options)
    context = min(model.context_tokens or DEFAULT_CONTEXT_TOKENS, engine.request_tokens)
    granted = limits(container, release, context)
    with traces(container) as trace, adapter_store(cache, settings.adaptable, restrictions) as store:
        adapters = Adapters(store.prepare, container.lora_adapters, taken=options.model_id)
        await _SERVERS[options.persona](
            _server_settings(options, container, Terms(release, granted, adapters), model.path, guarded),
            engine.open,
            adapters=adapters,
            trace=trace,
            on_listening=lambda addresses: log.info("listening", addresses=list(addresses)),
            on_ready=lambda: log.info("ready", model=options.model_id),
        )


def _release(options: ServeOptions) -> Release:
    """Only TGI's wire has releases; OpenAI's fingerprint names nearstream's own version."""
    if options.persona == "tgi":
        return tgi_release(options.version or LATEST)
    return Release(version=version("nearstream"))


def revised(options: ServeOptions, revision: str | None) -> str:
    """The model to run. A revision is one of the requested model, not of its alias."""
    return with_revision(options.model, revision if options.model == options.model_id else None)


def _engine_settings(container: ContainerSettings, model: ModelDirectory) -> EngineSettings:
    return EngineSettings(
        model=model.model,
        context_tokens=model.context_tokens,
        vocab_size=model.vocab_size,
        kv_bytes_per_token=model.kv_bytes_per_token,
        max_seqs=container.max_batch_size,
        adaptable=adaptable_modules(model.model),
        active_adapters=container.max_active_adapters,
    )


def _server_settings(
    options: ServeOptions,
    container: ContainerSettings,
    terms: Terms,
    directory: Path,
    guarded: Protection,
) -> ServerSettings:
    return ServerSettings(
        model_id=options.model_id,
        model_directory=directory,
        terms=terms,
        host=options.host,
        port=options.port,
        socket=options.uds,
        grace_s=container.graceful_termination_timeout,
        listens_when_warm=options.listens_when_warm,
        api_key=container.api_key,
        pages=guarded.pages,
        management=guarded.management,
        messages_api=container.messages_api_enabled,
        plain_text_errors=container.plain_text_errors,
        max_batch_size=container.max_batch_size,
        max_batch_tokens=container.max_batch_total_tokens,
        compute_type=container.compute_type if options.persona == "tgi" else None,
    )


def traces(container: ContainerSettings) -> AbstractContextManager[Trace]:
    """Where traces go, if anywhere; without OpenTelemetry they are left out, which is logged."""
    if container.otlp_endpoint is None:
        return nullcontext(untraced)
    try:
        from nearstream.telemetry.tracing import otlp  # noqa: PLC0415 - an extra
    except ImportError as error:
        log.warning("no traces are sent", because=str(error), needed="nearstream[tracing]")
        return nullcontext(untraced)
    return otlp(container.otlp_endpoint, container.otlp_service_name)
