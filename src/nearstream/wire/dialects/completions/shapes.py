"""OpenAI's answers as types, for the OpenAPI document; see `shapes`."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from nearstream.wire.dialects.shape import Shape

ChoiceReason = Literal["length", "stop", "stop_sequence", "tool_calls"]


class ModelInfo(Shape, frozen=True):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsInfo(Shape, frozen=True):
    """The one model that is served."""

    object: Literal["list"]
    data: list[ModelInfo]


class Usage(Shape, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatTopLogprob(Shape, frozen=True):
    token: str
    logprob: float | None


class ChatLogprob(Shape, frozen=True):
    token: str
    logprob: float | None
    top_logprobs: list[ChatTopLogprob]


class ChatLogprobs(Shape, frozen=True):
    content: list[ChatLogprob]


class Called(Shape, frozen=True):
    """`arguments` is JSON text."""

    name: str
    arguments: str
    description: str | None


class ToolCall(Shape, frozen=True):
    id: str
    type: Literal["function"]
    function: Called


class ChatMessage(Shape, frozen=True):
    """Either `content` or `tool_calls`."""

    role: Literal["assistant"]
    content: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET


class ChatChoice(Shape, frozen=True):
    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: ChoiceReason


class ChatCompletion(Shape, frozen=True):
    """A whole answer."""

    object: Literal["chat.completion"]
    id: str
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage


class CalledPiece(Shape, frozen=True, kw_only=True):
    """The name comes once; pieces of `arguments` are to be joined."""

    name: str | UnsetType = UNSET
    arguments: str


class ToolCallPiece(Shape, frozen=True, kw_only=True):
    index: int
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    function: CalledPiece


class ChatDelta(Shape, frozen=True):
    role: Literal["assistant"]
    content: str | UnsetType = UNSET
    tool_calls: list[ToolCallPiece] | UnsetType = UNSET


class ChatChunkChoice(Shape, frozen=True):
    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None
    finish_reason: ChoiceReason | None


class ChatCompletionChunk(Shape, frozen=True):
    """One event. With `include_usage` a last one has no choices and the usage; then comes `[DONE]`."""

    object: Literal["chat.completion.chunk"]
    id: str
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChunkChoice]
    usage: Usage | None


class TextLogprobs(Shape, frozen=True):
    """Lists of one length, an item for each token."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float | None]] | None
    text_offset: list[int]


class CompletionChoice(Shape, frozen=True):
    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: ChoiceReason


class CompletionResponse(Shape, frozen=True):
    """A whole answer."""

    object: Literal["text_completion"]
    id: str
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: Usage


class ChunkChoice(Shape, frozen=True):
    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: ChoiceReason | None


class Chunk(Shape, frozen=True):
    """One event of a streamed text completion; after the last one comes `[DONE]`."""

    object: Literal["text_completion"]
    id: str
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | UnsetType = UNSET


class StreamFailure(Shape, frozen=True):
    message: str
    http_status_code: int


class StreamError(Shape, frozen=True):
    """How a stream of /v1 ends that fails; then comes `[DONE]`."""

    error: StreamFailure
