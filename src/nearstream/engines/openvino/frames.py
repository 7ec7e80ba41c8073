"""The messages between the engine and its worker process: msgpack in the frames of `workers.frames`.

A message is an array whose first item is its type. The engine sends one `Load`, then `Submit`, `Cancel`,
`LoadAdapter` and `DropAdapter`; the worker answers `Loaded` or `Unloadable`, then at most one `Stepped` for
each step of its batches, and one `AdapterTried` for each adapter. Closing the socket ends the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from nearstream.workers.frames import framed

Ending = Literal["length", "eos", "cancelled"]
FailureKind = Literal["invalid", "overloaded", "failed"]


class Load(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The model to load. `properties` are the CPU plugin's.

    `adaptable`: the modules that adapters may change, each with its numbers of outputs and inputs. At most
    `adapter_pipelines` adapters answer at the same time, each with `adapter_kv_blocks` of its own.
    """

    model: str
    kv_blocks: int
    max_batched_tokens: int
    max_seqs: int
    prefix_caching: bool
    vocab_size: int | None
    properties: dict[str, str]
    adaptable: dict[str, tuple[int, int]] = {}
    adapter_pipelines: int = 1
    adapter_kv_blocks: int = 64
    grammar_bytes: int = 1 << 29
    """Compiled grammars of one pipeline can take so much memory."""


class Options(msgspec.Struct, frozen=True, array_like=True):
    """How to choose tokens, every default filled in."""

    max_new_tokens: int
    stop_token_ids: tuple[int, ...] = ()
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int = 0
    grammar: str | None = None
    """In XGrammar's EBNF."""
    typical_p: float = 1.0
    """Below 1 only with a `top_k` or a `top_p`; with no grammar, and of penalties
    the first alone, with a `top_k`."""
    prompt_logprobs: bool = False
    """Not beside `typical_p`."""
    min_p: float = 0.0
    min_new_tokens: int = 0


class Submit(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """One request. `prompt` holds token ids as little-endian 64-bit integers; `adapter` 0 is none."""

    id: int
    prompt: bytes
    options: Options
    adapter: int = 0


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Drop a request; it is answered with an `Advance` that is "cancelled", unless it ended before."""

    id: int


class Loaded(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The model is loaded and has generated once."""

    load_s: float
    warm_up_s: float
    kv_cache_bytes: int
    grammar: bool
    """Whether constrained output works: it needs openvino_tokenizer.xml beside the model, and the number of
    its tokens."""


class Unloadable(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The model could not be loaded; the worker ends."""

    message: str


class Advance(msgspec.Struct, frozen=True, array_like=True):
    """What one step made for one request."""

    id: int
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    ending: Ending | None
    prompt_logprobs: tuple[float, ...] = ()
    """Of the prompt's tokens from the second on, with the first token of a request that asked for them."""


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """A request that ended badly, on its own."""

    id: int
    kind: FailureKind
    message: str


class Stepped(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Everything that changed since the last frame."""

    advances: list[Advance]
    failures: list[Failure] = []
    grammars_full: bool = False
    """No grammar that is not yet compiled can be used until another process takes over."""


class LoadAdapter(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Load the weights in a safetensors file and generate with them once."""

    id: int
    weights: str


class DropAdapter(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Forget an adapter that no request uses."""

    id: int


class AdapterTried(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """An adapter has generated; or it could not be loaded, and why."""

    id: int
    refusal: str | None = None


ToWorker = Load | Submit | Cancel | LoadAdapter | DropAdapter
FromWorker = Loaded | Unloadable | Stepped | AdapterTried


def encode(frame: ToWorker | FromWorker) -> bytes:
    """The bytes of one frame."""
    return framed(msgspec.msgpack.encode(frame))


decode_to_worker: Callable[[memoryview], ToWorker] = msgspec.msgpack.Decoder(ToWorker).decode
decode_from_worker: Callable[[memoryview], FromWorker] = msgspec.msgpack.Decoder(FromWorker).decode
