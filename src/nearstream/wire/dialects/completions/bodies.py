"""The bodies of OpenAI's chat and text completions, in OpenAI's forms and in TGI's."""

from __future__ import annotations

from typing import Any

import msgspec

from nearstream.core.errors import Invalid, Misshapen, OptionInvalid, Unsupported
from nearstream.core.generation import Message, ToolCall
from nearstream.wire.dialects.json_bodies import Count, Seed

BIAS_BOUND = 100.0


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class CalledFunction(msgspec.Struct, frozen=True):
    """`arguments` is JSON text, or the object itself as Hugging Face's templates have it."""

    name: str
    arguments: str | dict[str, Any] = "{}"


class CalledTool(msgspec.Struct, frozen=True):
    """A call that an assistant made in an earlier turn."""

    function: CalledFunction
    id: str | None = None


class ChatTurn(msgspec.Struct, frozen=True):
    """One message. `content` is text or a list of parts, and may be missing beside `tool_calls`.

    `function_call` is what OpenAI's API had before `tool_calls`.
    """

    role: str
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What both kinds of completion take."""

    model: str | None = None
    max_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: Seed | None = None
    n: Count | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logit_bias: dict[int, float] | list[float] | None = None


class ChatBody(Common, frozen=True, kw_only=True):
    messages: list[ChatTurn]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Count | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    tool_prompt: str | None = None
    response_format: dict[str, Any] | None = None


class CompletionBody(Common, frozen=True, kw_only=True):
    prompt: str | list[str]
    suffix: str | None = None
    echo: bool | None = None
    logprobs: Count | None = None
    best_of: Count | None = None


def message(turn: ChatTurn) -> Message:
    """A turn for the template. Raises Misshapen for one that says nothing, Unsupported for an image."""
    calls = [_tool_call(called.function, called.id) for called in turn.tool_calls or ()]
    if turn.function_call is not None:
        calls.append(_tool_call(turn.function_call, None))
    return Message(
        role=turn.role,
        content=_content(turn, may_be_absent=bool(calls)),
        name=turn.name,
        tool_calls=tuple(calls),
        tool_call_id=turn.tool_call_id,
    )


def _tool_call(called: CalledFunction, call_id: str | None) -> ToolCall:
    arguments = called.arguments
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return ToolCall(called.name, text or "{}", call_id)


def stops(body: Common) -> list[str]:
    if isinstance(body.stop, str):
        return [body.stop]
    return body.stop or []


def biases(body: Common) -> tuple[tuple[int, float], ...]:
    """OpenAI's object of token ids, or TGI's list with a place for each token. Raises Invalid."""
    given = body.logit_bias or {}
    pairs = given.items() if isinstance(given, dict) else enumerate(given)
    found = tuple((token_id, bias) for token_id, bias in pairs if bias)
    if any(token_id < 0 for token_id, _ in found):
        raise OptionInvalid("logit_bias", "`logit_bias` must name token ids")
    if any(abs(bias) > BIAS_BOUND for _, bias in found):
        raise OptionInvalid("logit_bias", "`logit_bias` must be >= -100.0 and <= 100.0")
    return found


def grammar_document(response_format: dict[str, Any] | None) -> dict[str, Any] | None:
    """OpenAI's forms of `response_format` put in TGI's words, `{type, value}`. Raises Invalid."""
    if response_format is None or response_format.get("type") == "text":
        return None
    kind = response_format.get("type")
    if kind == "json_schema" and "value" not in response_format:
        named = response_format.get("json_schema")
        if not isinstance(named, dict) or "schema" not in named:
            missing = "`json_schema.schema`" if isinstance(named, dict) else "`json_schema`"
            raise Invalid(
                f"response_format: {missing} is missing; send "
                '{"type": "json_schema", "json_schema": {"name": ..., "schema": {...}}}'
            )
        return {"type": "json_schema", "value": named}
    if kind == "json_object" and "value" not in response_format:
        return {"type": "json_object", "value": response_format.get("schema", {"type": "object"})}
    return response_format


def _content(turn: ChatTurn, *, may_be_absent: bool) -> str | None:
    if isinstance(turn.content, str):
        return turn.content
    if turn.content is not None:
        return "".join([_part(part) for part in turn.content])
    if may_be_absent:
        return None
    raise Misshapen(f"messages: a turn of role {turn.role!r} has no `content`")


def _part(part: dict[str, Any]) -> str:
    kind, text = part.get("type"), part.get("text")
    if kind == "text" and isinstance(text, str):
        return text
    if kind == "image_url":
        raise Unsupported("image_url", "nearstream", "the model reads text only")
    raise Misshapen(f"content: expected text parts, got one of type {kind!r}")
