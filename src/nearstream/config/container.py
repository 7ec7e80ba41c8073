"""What a model server's environment asks for, under the names that TGI's containers use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from nearstream.core.errors import Unusable


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """None: not asked for. Token limits count prompt and answer as the model's tokens."""

    max_input_tokens: int | None = None
    max_total_tokens: int | None = None
    max_concurrent_requests: int = 128
    max_best_of: int = 2
    max_stop_sequences: int = 4
    max_top_n_tokens: int = 5
    max_client_batch_size: int = 4
    max_batch_size: int = 64
    """Requests that generate at once."""
    max_batch_total_tokens: int | None = None
    """Tokens of prompt and answer that these may come to hold together."""
    payload_limit: int = 2_000_000
    graceful_termination_timeout: int = 90
    messages_api_enabled: bool = False
    plain_text_errors: bool = False
    """What cannot be read is refused in plain text, as TGI does, not in JSON."""
    otlp_endpoint: str | None = None
    otlp_service_name: str = "text-generation-inference.router"
    api_key: str | None = None
    cors_allow_origins: tuple[str, ...] = ()
    """Origins whose pages may call; "*": any page."""
    hf_model_id: str | None = None
    hf_model_revision: str | None = None
    compute_type: str = "cpu"
    """What answers call the machine in `x-compute-type`."""
    lora_adapters: tuple[tuple[str, str], ...] = ()
    """Names, and the folders or hub ids to load under them."""
    max_active_adapters: int = 1
    """Adapters that answer at the same time; each takes the memory of the model's weights once more."""


_NUMBERS = (
    "max_total_tokens", "max_concurrent_requests", "max_best_of", "max_stop_sequences", "max_top_n_tokens",
    "max_client_batch_size", "max_batch_size", "max_batch_total_tokens", "payload_limit",
    "graceful_termination_timeout", "max_active_adapters",
)  # fmt: skip
_SWITCHES = ("messages_api_enabled", "plain_text_errors")
_TEXTS = ("api_key", "hf_model_id", "hf_model_revision", "otlp_endpoint", "otlp_service_name", "compute_type")


def container_settings(environ: Mapping[str, str] | None = None) -> ContainerSettings:
    """Read the environment. Raises Unusable with the variable, what came and what is wanted."""
    environ = unquoted(os.environ if environ is None else environ)
    found: dict[str, object] = {
        name: _number(environ, name.upper()) for name in _NUMBERS if environ.get(name.upper())
    }
    found |= {name: environ[name.upper()] for name in _TEXTS if environ.get(name.upper())}
    found |= {name: environ.get(name.upper(), "").lower() in ("1", "true") for name in _SWITCHES}
    if origins := tuple(environ.get("CORS_ALLOW_ORIGIN", "").replace(",", " ").split()):
        found["cors_allow_origins"] = origins
    found["lora_adapters"] = _lora_adapters(environ.get("LORA_ADAPTERS", ""))
    length, tokens = environ.get("MAX_INPUT_LENGTH"), environ.get("MAX_INPUT_TOKENS")
    if length and tokens:
        raise Unusable(  # in the words of TGI's launcher, its stray quote included
            f"Both `max_input_tokens` ({tokens}) and `max_input_length` ({length}) are set. Please define "
            "only `max_input_tokens` as `max_input_length is deprecated for naming consistency."
        )
    if length or tokens:
        found["max_input_tokens"] = _number(environ, "MAX_INPUT_TOKENS" if tokens else "MAX_INPUT_LENGTH")
    return _consistent(ContainerSettings(**found))  # type: ignore[arg-type]


def _lora_adapters(value: str) -> tuple[tuple[str, str], ...]:
    """`name` or `name=path`, with commas between; a name alone is a hub id, or a path. Raises Unusable."""
    found: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in value.split(","))):
        name, named, source = (part.strip() for part in entry.partition("="))
        if not name or (named and not source):
            raise Unusable(f"LORA_ADAPTERS has {entry!r}; a hub id, or name=path, is wanted.")
        if name in found:
            raise Unusable(f"LORA_ADAPTERS has the name {name!r} twice; give each adapter its own.")
        found[name] = source or name
    return tuple(found.items())


def unquoted(environ: Mapping[str, str]) -> dict[str, str]:
    """The SageMaker SDK sends values as JSON: "2048" with its quotes."""
    return {name: value.strip().strip('"') for name, value in environ.items()}


def _consistent(settings: ContainerSettings) -> ContainerSettings:
    """Raises Unusable, in TGI's words, for limits that exclude each other."""
    most_input, total = settings.max_input_tokens, settings.max_total_tokens
    if most_input is not None and total is not None and most_input >= total:
        raise Unusable(f"`max_input_tokens`({most_input}) must be < `max_total_tokens`({total})")
    batch = settings.max_batch_total_tokens
    if batch is not None and total is not None and total > batch:
        raise Unusable(f"`max_total_tokens` must be <= `max_batch_total_tokens`. Given: {total} and {batch}")
    return settings


def _number(environ: Mapping[str, str], name: str) -> int:
    value = environ[name]
    if not value.isdigit() or int(value) < 1:
        raise Unusable(f"{name} is {value!r}; a whole number above 0 is wanted.")
    return int(value)
