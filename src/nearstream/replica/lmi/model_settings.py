"""What a model's serving.properties mean for the parts that serve it: engine, handler, requests, template."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping
from dataclasses import replace
from pathlib import Path

from nearstream.config.deployed import CONTAINER_VARIABLES, handler_variables
from nearstream.config.serving.settings import ASYNC_SERVICES, NO_ROLLING_BATCH, ServingSettings
from nearstream.config.settings import AWS_KEYS
from nearstream.core.errors import Unusable
from nearstream.core.restrictions import Restrictions
from nearstream.engines.settings import EngineSettings
from nearstream.handlers.confinement import Confinement, private_files
from nearstream.handlers.settings import HandlerSettings
from nearstream.home.paths import sockets_of
from nearstream.models.directory import ModelDirectory
from nearstream.models.lora.modules import adaptable_modules
from nearstream.text.template_sources import TemplateSources, template_sources
from nearstream.wire.dialects.hf.terms import Release, Terms
from nearstream.wire.dialects.limits import Limits
from nearstream.wire.dialects.lmi.terms import Format, LmiRelease, LmiTerms, in_mode

MAX_INPUTS = 32
"""How many texts one body may hold."""
ADAPTERS = "adapters"
_PIP = "PIP_"
_HOME_VARIABLE = "NEARSTREAM_HOME"
_KEY_DIGITS = 16
_S3_VARIABLE = "NEARSTREAM_S3_URL"


def engine_settings(serving: ServingSettings, model: ModelDirectory) -> EngineSettings:
    """For a model on an engine."""
    return EngineSettings(
        model=model.model,
        context_tokens=model.context_tokens,
        vocab_size=model.vocab_size,
        kv_bytes_per_token=model.kv_bytes_per_token,
        max_seqs=serving.max_rolling_batch_size,
        adaptable=adaptable_modules(model.model) if serving.enable_lora else {},
        # Each that answers beside another takes memory: more than one only where somebody asks for it.
        active_adapters=serving.max_loras if "max_loras" in serving.options else 1,
        start_timeout_s=serving.model_loading_timeout_s,
    )


def handler_settings(
    serving: ServingSettings, entry_point: str, *, model: str, cache: Path, environ: Mapping[str, str]
) -> HandlerSettings:
    """For a model with a handler of its own, which lies in the model's folder. Raises Unusable."""
    if serving.directory is None:
        raise Unusable(
            f"option.entryPoint is {entry_point!r}, and there is no folder to find it in: give --model-dir."
        )
    # The keys of another S3 are the site's, where it has one.
    secrets = AWS_KEYS if environ.get(_S3_VARIABLE) else ()
    return HandlerSettings(
        model=model,
        directory=serving.directory,
        cache=cache,
        entry_point=entry_point,
        handler=serving.handler,
        properties={**serving.arguments, **serving.options, "model_dir": str(serving.directory)},
        environment={**handler_variables(environ, secrets=secrets), **serving.handler_environment},
        installing=_installing(environ),
        confinement=_confinement(serving.directory, cache, environ),
        min_workers=serving.min_workers,
        max_workers=serving.max_workers,
        max_idle_time_s=serving.max_idle_time_s,
        adapters=tuple(adapters_in(serving.directory)) if serving.enable_lora else None,
        # A handler that makes batches itself is given its calls one by one.
        batch_size=1 if _makes_batches(serving) else serving.batch_size,
        max_batch_delay_ms=serving.max_batch_delay_ms,
        job_queue_size=serving.job_queue_size,
        retry_threshold=serving.retry_threshold,
        loading_timeout_s=serving.model_loading_timeout_s,
        predict_timeout_s=serving.predict_timeout_s,
        stream_timeout_s=serving.chunked_read_timeout_s,
    )


def wire_release(release: LmiRelease, serving: ServingSettings) -> LmiRelease:
    """What a model on an engine answers as: by its entry point and mode, else by the release."""
    if serving.async_mode or (serving.entry_point or "").removesuffix(".py").endswith(ASYNC_SERVICES):
        return in_mode(release, asynchronous=True)
    asked = serving.options.get("rolling_batch", "auto").lower()
    if serving.async_mode is False or asked != "auto" or serving.rolling_batch == NO_ROLLING_BATCH:
        return in_mode(release, asynchronous=False)
    return release


def _makes_batches(serving: ServingSettings) -> bool:
    return serving.options.get("rolling_batch", NO_ROLLING_BATCH).lower() != NO_ROLLING_BATCH


def _installing(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name == "HOME" or name.startswith(_PIP)}


def _confinement(directory: Path, cache: Path, environ: Mapping[str, str]) -> Confinement | None:
    """For the code of a site's deployer. A server that runs for itself runs the code of its own user."""
    home = environ.get(_HOME_VARIABLE)
    if CONTAINER_VARIABLES not in environ or home is None:
        return None
    key = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:_KEY_DIGITS]
    user = Path(environ["HOME"]) if "HOME" in environ else Path.home()
    hub = Path(environ.get("HF_HOME") or user / ".cache" / "huggingface")
    secrets = (hub / "token", hub / "stored_tokens", *private_files(user))
    return Confinement((Path(home), sockets_of(Path(home)), *secrets), cache / "handlers" / "work" / key)


def request_terms(
    serving: ServingSettings, release: LmiRelease, *, model: str, adapters: Container[str], context: int
) -> LmiTerms:
    """What requests may ask for, within `context` tokens, and how answers look."""
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
    tgi = Terms(replace(Release(), version=release.version), limits, adapters)
    return LmiTerms(release, form, limits, tgi, model=model)


def chat_template(serving: ServingSettings, path: Path) -> TemplateSources | None:
    """option.chat_template names a file in the model's folder, or is the template itself.

    Without it: the template of the model at `path`. Raises Unusable.
    """
    given = serving.chat_template
    if given is None:
        return template_sources(path)
    file = (serving.directory or path) / given if "{" not in given else None
    if file is None:
        return TemplateSources(given)
    try:
        return TemplateSources(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"option.chat_template names {file}, which cannot be read: {error}") from error


def check_template(serving: ServingSettings, path: Path, restrictions: Restrictions) -> None:
    """Raise Unusable for a chat template that the model's settings or data bring, where none may be used."""
    if serving.chat_template is not None:
        restrictions.check("chat-templates", "option.chat_template is not used")
    own = serving.directory is not None and path.is_relative_to(serving.directory)
    if own and template_sources(path) is not None:
        restrictions.check("chat-templates", f"the chat template in {path} is not used")


def adapters_in(directory: Path | None) -> list[tuple[str, str]]:
    """The adapters in the folder `adapters` of a model's folder: their names and where they lie."""
    folder = None if directory is None else directory / ADAPTERS
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder and folder.is_dir() else []
    return [(path.name, str(path)) for path in found]
