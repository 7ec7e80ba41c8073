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
    payload_limit: int = 2_000_000
    graceful_termination_timeout: int = 90
    messages_api_enabled: bool = False
    api_key: str | None = None
    hf_model_id: str | None = None
    hf_model_revision: str | None = None


_NUMBERS = (
    "max_total_tokens", "max_concurrent_requests", "max_best_of", "max_stop_sequences", "max_top_n_tokens",
    "max_client_batch_size", "payload_limit", "graceful_termination_timeout",
)  # fmt: skip
_TEXTS = ("api_key", "hf_model_id", "hf_model_revision")


def container_settings(environ: Mapping[str, str] | None = None) -> ContainerSettings:
    """Read the environment. Raises Unusable with the variable, what came and what is wanted."""
    # The SageMaker SDK sends values as JSON: "2048" with its quotes.
    environ = {name: value.strip().strip('"') for name, value in (environ or os.environ).items()}
    found: dict[str, int | str | bool | None] = {
        name: _number(environ, name.upper()) for name in _NUMBERS if environ.get(name.upper())
    }
    found |= {name: environ[name.upper()] for name in _TEXTS if environ.get(name.upper())}
    found["messages_api_enabled"] = environ.get("MESSAGES_API_ENABLED", "").lower() in ("1", "true")
    if environ.get("MAX_INPUT_LENGTH") and environ.get("MAX_INPUT_TOKENS"):
        raise Unusable("MAX_INPUT_LENGTH and MAX_INPUT_TOKENS are both set: keep MAX_INPUT_TOKENS alone.")
    for name in ("MAX_INPUT_TOKENS", "MAX_INPUT_LENGTH"):
        if environ.get(name):
            found["max_input_tokens"] = _number(environ, name)
    return ContainerSettings(**found)  # type: ignore[arg-type]


def _number(environ: Mapping[str, str], name: str) -> int:
    value = environ[name]
    if not value.isdigit() or int(value) < 1:
        raise Unusable(f"{name} is {value!r}; a whole number above 0 is wanted.")
    return int(value)
