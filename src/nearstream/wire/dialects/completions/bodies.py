"""The bodies of OpenAI's chat and text completions, in OpenAI's forms and in TGI's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from nearstream.core.errors import Misshapen, OptionInvalid, Unsupported
from nearstream.core.generation import Message, Sampling, TextPrompt, TokenPrompt, ToolCall
from nearstream.wire.dialects.json_bodies import Count, Seed, Signed

BIAS_BOUND = 100.0
_IDS = 1 << 31
_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})
_OTHER_PARTS = frozenset(
    {"image_url", "input_image", "image", "input_audio", "audio_url", "video_url", "file", "input_file"}
)


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
    """What both kinds of completion take; from `top_k` on what is not OpenAI's but vLLM's or TGI's."""

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
    response_format: dict[str, Any] | None = None
    top_k: Signed | None = None
    min_p: float | None = None
    min_tokens: Count | None = None
    ignore_eos: bool | None = None
    stop_token_ids: list[Count] | None = None
    stop_sequences: list[str] | None = None
    guided_json: str | dict[str, Any] | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    structured_outputs: dict[str, Any] | None = None


class ChatBody(Common, frozen=True, kw_only=True):
    messages: list[ChatTurn]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Count | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    tool_prompt: str | None = None
    parallel_tool_calls: bool | None = None


class CompletionBody(Common, frozen=True, kw_only=True):
    """`prompt` is text, token ids, or a list of one of these."""

    prompt: str | list[Any]
    echo: bool | None = None
    logprobs: Count | None = None
    best_of: Count | None = None


def message(turn: ChatTurn, at: int) -> Message:
    """The turn of this number for the template. Raises Misshapen for one that says nothing, Unsupported for
    what is not text."""
    calls = [_tool_call(called.function, called.id) for called in turn.tool_calls or ()]
    if turn.function_call is not None:
        calls.append(_tool_call(turn.function_call, None))
    return Message(
        role=turn.role,
        content=_content(turn, f"messages[{at}]", may_be_absent=bool(calls)),
        name=turn.name,
        tool_calls=tuple(calls),
        tool_call_id=turn.tool_call_id,
    )


def _tool_call(called: CalledFunction, call_id: str | None) -> ToolCall:
    arguments = called.arguments
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return ToolCall(called.name, text or "{}", call_id)


def stops(body: Common) -> list[str]:
    found = [body.stop] if isinstance(body.stop, str) else body.stop or []
    return [*found, *(body.stop_sequences or [])]


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


def prompts(body: CompletionBody) -> list[TextPrompt | TokenPrompt]:
    """Raises OptionInvalid for what is neither text nor token ids."""
    given = body.prompt
    if isinstance(given, str):
        return [TextPrompt(given)]
    if given and all(type(item) is int for item in given):
        return [_tokens(given)]
    return [TextPrompt(item) if isinstance(item, str) else _tokens(item) for item in given]


def extended(sampling: Sampling, body: Common) -> Sampling:
    """With the options that are not OpenAI's. Raises OptionInvalid."""
    top_k = body.top_k if (body.top_k or 0) > 0 else None
    if body.top_k is not None and body.top_k < -1:
        raise OptionInvalid("top_k", "`top_k` must be above 0, or 0 or -1 for all tokens")
    if body.min_p is not None and not 0 <= body.min_p <= 1:
        raise OptionInvalid("min_p", "`min_p` must be from 0 to 1")
    if body.min_tokens and body.max_tokens is not None and body.min_tokens > body.max_tokens:
        raise OptionInvalid("min_tokens", "`min_tokens` must be at most `max_tokens`")
    return replace(
        sampling,
        top_k=top_k if sampling.do_sample else None,
        min_p=body.min_p or None,
        min_new_tokens=body.min_tokens or 0,
        ignore_eos=bool(body.ignore_eos),
        stop_token_ids=frozenset(body.stop_token_ids or ()),
    )


def _tokens(given: object) -> TokenPrompt:
    if isinstance(given, list) and given and all(type(item) is int and 0 <= item < _IDS for item in given):
        return TokenPrompt(tuple(given))
    raise OptionInvalid("prompt", "`prompt` must be text, a list of token ids, or a list of either")


def _content(turn: ChatTurn, where: str, *, may_be_absent: bool) -> str | None:
    if isinstance(turn.content, str):
        return turn.content
    if turn.content is not None:
        return "".join([_part(part, f"{where}.content[{at}]") for at, part in enumerate(turn.content)])
    if may_be_absent:
        return None
    raise misplaced(f"a turn of role {turn.role!r} has no `content`", f"{where}.content")


def _part(part: dict[str, Any], where: str) -> str:
    kind = part.get("type")
    text = part.get("refusal" if kind == "refusal" else "text")
    if kind in _TEXT_PARTS and isinstance(text, str):
        return text
    if kind in _TEXT_PARTS:
        raise misplaced(f"a part of type {kind!r} has no text", where)
    if kind in _OTHER_PARTS:
        raise Unsupported(str(kind), "nearstream", f"the model reads text only ({where})")
    raise misplaced(
        f'unknown part of type {kind!r}; send {{"type": "text", "text": ...}}',
        where,
    )


def misplaced(fault: str, where: str) -> Misshapen:
    """With the place as msgspec writes it, so that it is read alike."""
    return Misshapen(f"{fault} - at `$.{where}`")
