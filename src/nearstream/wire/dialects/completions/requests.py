"""Bodies of chat and text completions to calls, by the rules and in the style of a family of servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from nearstream.core.errors import BatchTooLarge, OptionInvalid, ToolFailed
from nearstream.core.generation import (
    ChatPrompt,
    GenerationRequest,
    Message,
    Sampling,
    TextPrompt,
    TokenPrompt,
)
from nearstream.core.ports import Encoder, Identity, Settled
from nearstream.wire.dialects.completions.bodies import (
    ChatBody,
    Common,
    CompletionBody,
    extended,
    message,
    misplaced,
    prompts,
    stops,
)
from nearstream.wire.dialects.completions.constraints import constraint
from nearstream.wire.dialects.completions.encoders import ChunkEncoder, whole_encoder
from nearstream.wire.dialects.completions.fragments import Form
from nearstream.wire.dialects.completions.style import Style
from nearstream.wire.dialects.completions.tools import IN_WORDS, PROMPT, Offer, call_schema, offer
from nearstream.wire.framing import sse

# What engines call otherwise.
CHAT_NAMES = {"top_n_tokens": "top_logprobs", "grammar": "response_format"}
TEXT_NAMES = {"top_n_tokens": "logprobs", "prefill_logprobs": "echo", "grammar": "response_format"}
_CONSTRAINTS = ("response_format", "guided_json", "guided_regex", "guided_choice", "structured_outputs")


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
    offered: Offer | None = None
    constrained_words: bool = False
    """An answer in words must meet the grammar of the options."""

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
        settled = self.rules.settle(request, self.options, prompt_tokens=prompt_tokens)
        if self.offered is None:
            return settled
        otherwise = settled.sampling.grammar if self.constrained_words else None
        grammar = self.offered.grammar(otherwise)
        return replace(settled, sampling=replace(settled.sampling, grammar=grammar))

    def encoder(self, identity: Identity) -> Encoder:
        encoder = ChunkEncoder if self.stream else whole_encoder
        return encoder(self.form, self.style, identity)


def option_names(body: Common) -> dict[str, str]:
    """Engines' options as this body calls them."""
    names = CHAT_NAMES if isinstance(body, ChatBody) else TEXT_NAMES
    if isinstance(body, ChatBody) and body.tools:
        return names | {"grammar": "tools"}
    sent = [name for name in _CONSTRAINTS if getattr(body, name) is not None]
    return names | ({"grammar": sent[0]} if sent else {})


def chat_call(chat: ChatBody, rules: Rules, style: Style) -> CompletionCall:
    """Raises Invalid, ToolFailed, Unsupported."""
    if not chat.messages:
        raise misplaced("`messages` is empty: send at least one turn", "messages")
    if chat.top_logprobs and not chat.logprobs:
        raise OptionInvalid("logprobs", "`logprobs` must be true when `top_logprobs` is set")
    found, offered = (
        constraint(chat),
        offer(chat.tools, chat.tool_choice, parallel=bool(chat.parallel_tool_calls)),
    )
    document = None if found is None else found[1]
    if style.tools_exclude_grammar and document and chat.tools is not None and _may_call(chat):
        raise ToolFailed("Grammar and tools are mutually exclusive")
    if offered and found and found[0] not in {"response_format", "guided_json"}:
        raise OptionInvalid(found[0], f"`{found[0]}` and `tools` exclude each other")
    if offered and not (document and offered.words):
        document = {"type": "json", "value": call_schema(offered.tools)}
    tokens = chat.max_tokens if chat.max_completion_tokens is None else chat.max_completion_tokens
    options = Options(chat, tokens, chat.top_logprobs, document)
    rules.check(options)
    turns = tuple(message(turn, at) for at, turn in enumerate(chat.messages))
    requests = _requests([_prompt(turns, offered, chat.tool_prompt)], options, rules)
    form = Form(
        chat=True,
        choices=len(requests),
        per_prompt=len(requests),
        include_usage=_include_usage(chat),
        logprobs=bool(chat.logprobs),
        top_tokens=_chosen_is_top(requests, options),
        tools=offered is not None,
        words=offered is None or offered.words,
        stops=tuple(stops(chat)),
    )
    within = found is not None and offered is not None and offered.words
    return CompletionCall(requests, options, rules, form, style, offered, constrained_words=within)


def _may_call(chat: ChatBody) -> bool:
    return chat.tool_choice != "none"


def _prompt(turns: tuple[Message, ...], offered: Offer | None, tool_prompt: str | None) -> ChatPrompt:
    if offered is None:
        return ChatPrompt(turns)
    told = f"{PROMPT} {IN_WORDS}" if offered.words else PROMPT
    return ChatPrompt(turns, offered.tools, tool_prompt or told)


def text_call(body: CompletionBody, rules: Rules, style: Style) -> CompletionCall:
    """Raises Invalid, BatchTooLarge, Unsupported."""
    given = prompts(body)
    if len(given) > rules.most_choices:
        raise BatchTooLarge(
            f"Number of prompts exceeds the maximum allowed batch size of {rules.most_choices}"
        )
    found = constraint(body)
    texts = [prompt.text if isinstance(prompt, TextPrompt) else "tokens" for prompt in given]
    document = None if found is None else found[1]
    options = Options(
        body, body.max_tokens, body.logprobs, document, shortest_text=min(texts, key=len, default="")
    )
    rules.check(options)
    requests = _requests(given, options, rules)
    if body.echo:
        measured = body.logprobs is not None
        requests = tuple([_echoed(request, measured=measured) for request in requests])
    choices = body.n or 1
    form = Form(
        chat=False,
        choices=len(requests),
        per_prompt=choices,
        include_usage=_include_usage(body),
        logprobs=body.logprobs is not None,
        top_tokens=_chosen_is_top(requests, options),
        echo=bool(body.echo),
        stops=tuple(stops(body)),
    )
    return CompletionCall(requests, options, rules, form, style)


def _echoed(request: GenerationRequest, *, measured: bool) -> GenerationRequest:
    sampling = replace(request.sampling, prefill_logprobs=measured)
    return replace(request, sampling=sampling, echo=True)


def _requests(
    prompts: Sequence[ChatPrompt | TextPrompt | TokenPrompt], options: Options, rules: Rules
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
    sampling, tokens = extended(rules.sampling(options), body), options.max_new_tokens
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
