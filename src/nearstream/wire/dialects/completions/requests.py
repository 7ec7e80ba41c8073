"""Bodies of chat and text completions to calls, by the rules and in the style of a family of servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from nearstream.core.errors import BatchTooLarge, OptionInvalid, ToolFailed, Unsupported
from nearstream.core.generation import ChatPrompt, GenerationRequest, Sampling, TextPrompt
from nearstream.core.ports import Encoder, Identity, Settled
from nearstream.wire.dialects.completions.bodies import (
    ChatBody,
    Common,
    CompletionBody,
    grammar_document,
    message,
    stops,
)
from nearstream.wire.dialects.completions.encoders import ChunkEncoder, whole_encoder
from nearstream.wire.dialects.completions.fragments import Form
from nearstream.wire.dialects.completions.style import Style
from nearstream.wire.dialects.completions.tools import PROMPT, call_schema, chosen, may_answer_in_words
from nearstream.wire.framing import sse

# What engines call otherwise.
CHAT_NAMES = {"top_n_tokens": "top_logprobs", "grammar": "response_format"}
TEXT_NAMES = {"top_n_tokens": "logprobs", "prefill_logprobs": "echo"}


@dataclass(frozen=True, slots=True)
class Options:
    """What a body asks of sampling, in one form for chats and texts."""

    body: Common
    max_new_tokens: int | None
    alternatives: int | None = None
    """How many alternatives to list beside each token."""
    grammar: dict[str, Any] | None = None
    """As `grammars.grammar` takes it."""
    shortest_text: str = "a conversation"
    """Of the prompts."""


class Rules(Protocol):
    """What a family of servers allows."""

    @property
    def most_choices(self) -> int:
        """Prompts of a call, and choices for all of them."""
        ...

    @property
    def default_max_new_tokens(self) -> int | None: ...

    def check(self, options: Options) -> None:
        """Raises Invalid with the first rule that is broken."""
        ...

    def sampling(self, options: Options) -> Sampling:
        """Without the grammar, which is for `settle`. Raises Invalid."""
        ...

    def settle(self, request: GenerationRequest, options: Options, *, prompt_tokens: int) -> Settled:
        """See `GenerationCall.settle`."""
        ...


@dataclass(frozen=True, slots=True)
class CompletionCall:
    """One completion call that keeps the rules."""

    requests: tuple[GenerationRequest, ...]
    options: Options
    rules: Rules
    form: Form
    style: Style

    @property
    def stream(self) -> bool:
        return bool(self.options.body.stream)

    @property
    def content_type(self) -> str:
        return sse.CONTENT_TYPE if self.stream else "application/json"

    @property
    def keepalive(self) -> bytes:
        return b""

    def settle(self, request: GenerationRequest, *, prompt_tokens: int) -> Settled:
        return self.rules.settle(request, self.options, prompt_tokens=prompt_tokens)

    def encoder(self, identity: Identity) -> Encoder:
        encoder = ChunkEncoder if self.stream else whole_encoder
        return encoder(self.form, self.style, identity)


def chat_names(chat: ChatBody) -> dict[str, str]:
    """Engines' options as this body calls them."""
    return CHAT_NAMES | ({"grammar": "tools"} if chat.tools else {})


def chat_call(chat: ChatBody, rules: Rules, style: Style) -> CompletionCall:
    """Raises Invalid, ToolFailed, Unsupported."""
    if chat.top_logprobs and not chat.logprobs:
        raise OptionInvalid("logprobs", "`logprobs` must be true when `top_logprobs` is set")
    tools = chosen(chat.tools, chat.tool_choice)
    grammar = grammar_document(chat.response_format)
    if tools and grammar:
        raise ToolFailed("Grammar and tools are mutually exclusive")
    if tools:
        schema = call_schema(tools, words=may_answer_in_words(chat.tool_choice))
        grammar = {"type": "json", "value": schema}
    tokens = chat.max_tokens if chat.max_completion_tokens is None else chat.max_completion_tokens
    options = Options(chat, tokens, chat.top_logprobs, grammar)
    rules.check(options)
    turns = tuple(message(turn) for turn in chat.messages)
    tool_prompt = chat.tool_prompt or PROMPT
    prompt = ChatPrompt(turns, tuple(tools), tool_prompt) if tools else ChatPrompt(turns)
    requests = _requests([prompt], options, rules)
    form = Form(
        chat=True,
        choices=len(requests),
        per_prompt=len(requests),
        include_usage=_include_usage(chat),
        logprobs=bool(chat.logprobs),
        top_tokens=_chosen_is_top(requests, options),
        tools=bool(tools),
        stops=tuple(stops(chat)),
    )
    return CompletionCall(requests, options, rules, form, style)


def text_call(body: CompletionBody, rules: Rules, style: Style) -> CompletionCall:
    """Raises Invalid, BatchTooLarge, Unsupported."""
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    if len(prompts) > rules.most_choices:
        raise BatchTooLarge(
            f"Number of prompts exceeds the maximum allowed batch size of {rules.most_choices}"
        )
    if body.suffix:
        raise Unsupported("suffix", "nearstream", "the model continues text, it does not fill gaps")
    shortest = min(prompts, key=len, default="")
    options = Options(body, body.max_tokens, body.logprobs, shortest_text=shortest)
    rules.check(options)
    requests = _requests([TextPrompt(text) for text in prompts], options, rules)
    if body.echo and body.logprobs is not None:
        requests = tuple(
            replace(request, sampling=replace(request.sampling, prefill_logprobs=True))
            for request in requests
        )
    choices = body.n or 1
    form = Form(
        chat=False,
        choices=len(requests),
        per_prompt=choices,
        include_usage=_include_usage(body),
        logprobs=body.logprobs is not None,
        top_tokens=_chosen_is_top(requests, options),
        echoes=tuple(text for text in prompts for _ in range(choices)) if body.echo else (),
        stops=tuple(stops(body)),
    )
    return CompletionCall(requests, options, rules, form, style)


def _requests(
    prompts: Sequence[ChatPrompt | TextPrompt], options: Options, rules: Rules
) -> tuple[GenerationRequest, ...]:
    """`n` for each prompt, those of one prompt side by side. Each of them has a seed of its own."""
    body, most = options.body, rules.most_choices
    choices = 1 if body.n is None else body.n
    if not 0 < choices <= most:
        raise OptionInvalid("n", f"`n` must be > 0 and <= {most}. Given: {choices}")
    if len(prompts) * choices > most:
        raise OptionInvalid(
            "n", f"`n` times the number of prompts must be <= {most}. Given: {len(prompts) * choices}"
        )
    sampling, tokens = rules.sampling(options), options.max_new_tokens
    return tuple(
        GenerationRequest(
            prompt=prompt,
            sampling=sampling if body.seed is None else replace(sampling, seed=(body.seed + choice) % 2**64),
            max_new_tokens=rules.default_max_new_tokens if tokens is None else tokens,
            stop=tuple(stops(body)),
        )
        for prompt in prompts
        for choice in range(choices)
    )


def _chosen_is_top(requests: Sequence[GenerationRequest], options: Options) -> bool:
    """Whether the chosen token is its own one alternative, for which no engine was asked."""
    return options.alternatives == 1 and all(not request.sampling.top_n_tokens for request in requests)


def _include_usage(body: Common) -> bool:
    return body.stream_options is not None and bool(body.stream_options.include_usage)
