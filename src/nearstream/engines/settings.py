"""What any engine is started with, and what it is before it has loaded the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from nearstream.core.ports import Engine


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The model to load and how much to take on at once; None stands for what its files do not tell.

    `model` is a folder or a GGUF file, in a format that the engine takes. `max_seqs` requests run together.
    `adaptable` names the modules that LoRA adapters may change, each with its numbers of outputs and inputs;
    at most `active_adapters` adapters answer at the same time.
    """

    model: Path
    context_tokens: int | None = None
    vocab_size: int | None = None
    kv_bytes_per_token: int | None = None
    """Bytes of keys and values of one token over all layers."""
    max_seqs: int = 64
    adaptable: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    active_adapters: int = 1
    start_timeout_s: float = 900.0


@dataclass(frozen=True, slots=True)
class PreparedEngine:
    """An engine that is yet to load its model. One request can have `request_tokens`, prompt and answer."""

    request_tokens: int
    open: Callable[[], AbstractAsyncContextManager[Engine]]
    """Loads the model and keeps the engine for the length of the block. Raises Unusable."""
