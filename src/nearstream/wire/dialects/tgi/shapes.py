"""The answers of TGI as types, under TGI's names: what /api-doc/openapi.json says of them.

The encoders put answers together from fragments and do not use these; tests decode what they write into them.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from nearstream.wire.dialects.shape import Shape

FinishReason = Literal["length", "eos_token", "stop_sequence"]


class ErrorBody(Shape, frozen=True):
    """The body of an error response, and an event that ends a stream of /, /generate_stream, /invocations."""

    error: str
    error_type: str


class Token(Shape, frozen=True):
    """One generated token. `text` is empty while a character is incomplete."""

    id: int
    text: str
    logprob: float | None
    special: bool


class PrefillToken(Shape, frozen=True):
    """One token of the prompt."""

    id: int
    text: str
    logprob: float | None


class BestOfSequence(Shape, frozen=True):
    """An answer that was not the best."""

    generated_text: str
    finish_reason: FinishReason
    generated_tokens: int
    seed: int | None
    prefill: list[PrefillToken]
    tokens: list[Token]
    top_tokens: list[list[Token]] | UnsetType = UNSET


class Details(Shape, frozen=True):
    """`seed` is null where nothing was sampled."""

    finish_reason: FinishReason
    generated_tokens: int
    seed: int | None
    prefill: list[PrefillToken]
    tokens: list[Token]
    top_tokens: list[list[Token]] | UnsetType = UNSET
    best_of_sequences: list[BestOfSequence] | UnsetType = UNSET


class GenerateResponse(Shape, frozen=True):
    """`details` is there where it was asked for."""

    generated_text: str
    details: Details | UnsetType = UNSET


class StreamDetails(Shape, frozen=True):
    """`input_length` since TGI 3.0."""

    finish_reason: FinishReason
    generated_tokens: int
    seed: int | None
    input_length: int | UnsetType = UNSET


class StreamResponse(Shape, frozen=True, kw_only=True):
    """One event. The last one has the whole text and, where asked for, the details. `index` since TGI 1.4."""

    index: int | UnsetType = UNSET
    token: Token
    top_tokens: list[Token] | UnsetType = UNSET
    generated_text: str | None
    details: StreamDetails | None


class TokenizedToken(Shape, frozen=True):
    """Offsets count the bytes of the text."""

    id: int
    text: str
    start: int
    stop: int


class ChatTokenizeResponse(Shape, frozen=True):
    """A conversation as the model sees it."""

    tokenize_response: list[TokenizedToken]
    templated_text: str


class Info(Shape, frozen=True):
    """What the server is, and its limits."""

    model_id: str
    model_sha: str | None
    model_pipeline_tag: str | None
    max_concurrent_requests: int
    max_best_of: int
    max_stop_sequences: int
    max_input_tokens: int
    max_total_tokens: int
    validation_workers: int
    max_client_batch_size: int
    router: str
    version: str
    sha: str | None
    docker_label: str | None
    model_dtype: str
    model_device_type: str
    max_input_length: int
    waiting_served_ratio: float
    max_batch_total_tokens: int
    max_waiting_tokens: int


class Aborted(Shape, frozen=True):
    """The call that had this x-request-id ends with an error."""

    request_id: str
    aborted: bool
