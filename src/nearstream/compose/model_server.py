"""Builds one model server that stands in for TGI."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import structlog

from nearstream.config.container import ContainerSettings
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.engines.openvino.settings import EngineSettings
from nearstream.home.paths import Home
from nearstream.models.adapters_base import Modules, adaptable_modules
from nearstream.models.adapters_store import AdapterStore
from nearstream.models.convert import WeightFormat
from nearstream.models.hub import parse_hub_id
from nearstream.models.resolve import resolve
from nearstream.replica.adapters import Adapters
from nearstream.replica.settings import ServerSettings
from nearstream.replica.tgi.server import serve
from nearstream.telemetry.spans import Trace, untraced
from nearstream.wire.dialects.hf.terms import LATEST, Release, Terms, tgi_release
from nearstream.wire.dialects.limits import Limits

# For a model that does not say how much it was trained for.
DEFAULT_CONTEXT_TOKENS = 4096

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `nearstream serve` was told; `model_id` is the name that clients see."""

    model: str
    model_id: str
    version: str
    host: str
    port: int | None
    uds: Path | None
    weights: WeightFormat = "fp16"
    """What a checkpoint's weights become when it is converted."""


async def model_server(options: ServeOptions, container: ContainerSettings, home: Home) -> None:
    """Serve one model until SIGTERM. Raises Unusable for a model or an address that cannot be used."""
    model = await resolve(
        revised(options, container.hf_model_revision),
        cache=home.cache,
        weights=options.weights,
        progress=lambda text: log.info("preparing the model", progress=text),
    )
    if options.model_id != model.name:
        log.info("one model stands in for another", asked=options.model_id, runs=model.name)
    engine = EngineSettings(
        model=model.model,
        context_tokens=model.context_tokens,
        vocab_size=model.vocab_size,
        kv_bytes_per_token=model.kv_bytes_per_token,
        max_seqs=container.max_batch_size,
        adaptable=adaptable_modules(model.model),
        adapter_lanes=container.max_active_adapters,
    )
    release = tgi_release(options.version or LATEST)
    context = min(model.context_tokens or DEFAULT_CONTEXT_TOKENS, engine.request_tokens)
    granted = limits(container, release, context)
    loaded = prepared_adapters(home.cache, engine.adaptable, container.lora_adapters, taken=options.model_id)
    with traces(container) as trace, loaded as adapters:
        await serve(
            _server_settings(options, container, Terms(release, granted, adapters), model.path),
            lambda: OpenVINOEngine.open(engine),
            adapters=adapters,
            trace=trace,
            on_listening=lambda addresses: log.info("listening", addresses=list(addresses)),
            on_ready=lambda: log.info("ready", model=options.model_id),
        )


def _server_settings(
    options: ServeOptions, container: ContainerSettings, terms: Terms, directory: Path
) -> ServerSettings:
    return ServerSettings(
        model_id=options.model_id,
        model_directory=directory,
        terms=terms,
        host=options.host,
        port=options.port,
        socket=options.uds,
        grace_s=container.graceful_termination_timeout,
        api_key=container.api_key,
        cors_allow_origins=container.cors_allow_origins,
        messages_api=container.messages_api_enabled,
        plain_text_errors=container.plain_text_errors,
        max_batch_size=container.max_batch_size,
        max_batch_tokens=container.max_batch_total_tokens,
        compute_type=container.compute_type,
    )


@contextmanager
def prepared_adapters(
    cache: Path, adaptable: Modules, configured: Sequence[tuple[str, str]], *, taken: str
) -> Iterator[Adapters]:
    """The adapters of a model, and for as long the folder of their files. `taken` is the model's own name."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="adapters-", dir=cache) as folder:
        store = AdapterStore(
            adaptable, Path(folder), lambda text: log.info("preparing an adapter", progress=text)
        )
        yield Adapters(store.prepare, configured, taken=taken)


def traces(container: ContainerSettings) -> AbstractContextManager[Trace]:
    """Where traces go, if anywhere; without OpenTelemetry they are left out, and the log says so."""
    if container.otlp_endpoint is None:
        return nullcontext(untraced)
    try:
        from nearstream.telemetry.tracing import otlp  # noqa: PLC0415 - an extra
    except ImportError as error:
        log.warning("no traces are sent", because=str(error), needed="nearstream[tracing]")
        return nullcontext(untraced)
    return otlp(container.otlp_endpoint, container.otlp_service_name)


def revised(options: ServeOptions, revision: str | None) -> str:
    """The model to run. A revision is of the hub's model that was asked for, not of a stand-in."""
    model, hub_id = options.model, parse_hub_id(options.model)
    if revision is None or hub_id is None or hub_id.revision is not None:
        return model
    if model != options.model_id or Path(model).exists():
        return model
    return f"{model}@{revision}"


def limits(container: ContainerSettings, release: Release, context: int) -> Limits:
    """What a request may ask for: by the container's variables or its release, within `context` tokens."""
    total = container.max_total_tokens or release.default_max_total_tokens or context
    if total > context:
        if container.max_total_tokens is not None:
            log.warning("MAX_TOTAL_TOKENS lowered to what fits", asked=total, fits=context)
        total = context
    asked = container.max_input_tokens or release.default_max_input_tokens or total - 1
    if container.max_input_tokens is None or total != container.max_total_tokens:
        asked = min(asked, total - 1)
    return Limits(
        max_input_tokens=asked,
        max_total_tokens=total,
        max_best_of=container.max_best_of,
        max_stop_sequences=container.max_stop_sequences,
        max_top_n_tokens=container.max_top_n_tokens,
        max_client_batch_size=container.max_client_batch_size,
        max_concurrent_requests=container.max_concurrent_requests,
        payload_limit_bytes=container.payload_limit,
    )
