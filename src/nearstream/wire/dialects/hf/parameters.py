"""The body that Hugging Face's text generation servers take: `{inputs, parameters, stream}`."""

from __future__ import annotations

from typing import Any

import msgspec

from nearstream.wire.dialects.json_bodies import Count, Seed, Signed


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """As sent. Null is taken for an optional number or text, not for a switch or a list.

    Benchmarks send `ignore_eos` in one form or the other.
    """

    best_of: Count | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    top_k: Signed | None = None
    top_p: float | None = None
    typical_p: float | None = None
    do_sample: bool = False
    max_new_tokens: Count | None = None
    return_full_text: bool | None = None
    stop: list[str] = []
    truncate: Count | None = None
    watermark: bool = False
    details: bool = False
    decoder_input_details: bool = False
    seed: Seed | None = None
    top_n_tokens: Count | None = None
    grammar: dict[str, Any] | None = None
    adapter_id: str | None = None
    ignore_eos: bool | None = None
    ignore_eos_token: bool | None = None


class GenerateBody(msgspec.Struct, frozen=True, kw_only=True):
    """`parameters` is None where the body has none."""

    inputs: str
    parameters: Parameters | None = None
    stream: bool = False
