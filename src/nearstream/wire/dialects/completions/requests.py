"""OpenAI's chat and text completions as TGI serves them: bodies to exchanges.

TGI's rules and limits hold here too; the OpenAI forms that TGI turns away (a string stop, an object as
json_schema, `top_p` of 1, several choices) are taken. Stop strings stay in the text: programs written for TGI
count on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from nearstream.core.errors import BatchTooLarge, Invalid, NearstreamError, ToolFailed, Unsupported
from nearstream.core.generation import ChatPrompt, GenerationRequest, Sampling, TextPrompt
from nearstream.core.ports import Encoder, Identity, Settled
from nearstream.wire.dialects import refusals, rules
from nearstream.wire.dialects.completions.bodies import (
    ChatBody,
    Common,
    CompletionBody,
    biases,
    grammar_document,
    message,
    stops,
)
from nearstream.wire.dialects.completions.encoders import PieceEncoder, WholeEncoder
from nearstream.wire.dialects.completions.fragments import Form, error_events
from nearstream.wire.dialects.completions.tools import PROMPT, call_schema, chosen, may_answer_in_words
from nearstream.wire.dialects.parameters import Parameters, decode
from nearstream.wire.dialects.port import ErrorResponse
from nearstream.wire.dialects.terms import Terms
from nearstream.wire.framing import sse

PRESENCE_BOUND = 2.0
# What the engine calls otherwise.
_CHAT_NAMES = {"top_n_tokens": "top_logprobs", "grammar": "response_format"}
_TEXT_NAMES = {"top_n_tokens": "logprobs", "prefill_logprobs": "echo"}


def read_chat(body: bytes, terms: Terms) -> ParsedCompletion:
    """Raises Malformed or Misshapen."""
    chat = decode(body, ChatBody)
    names = _CHAT_NAMES | ({"grammar": "tools"} if chat.tools else {})
    return ParsedCompletion(bool(chat.stream), names, lambda: _chat_call(chat, terms))


def read_completion(body: bytes, terms: Terms) -> ParsedCompletion:
    """Raises Malformed or Misshapen."""
    completion = decode(body, CompletionBody)
    return ParsedCompletion(bool(completion.stream), _TEXT_NAMES, lambda: _completion_call(completion, terms))


def models(model: str) -> bytes:
    """The answer of /v1/models."""
    entry = {"id": model, "object": "model", "created": 0, "owned_by": model}
    return msgspec.json.encode({"object": "list", "data": [entry]})


@dataclass(frozen=True, slots=True)
class ParsedCompletion:
    """A completion body before its rules are checked. `names`: engines' options as this body calls them."""

    stream: bool
    names: Mapping[str, str]
    checked: Callable[[], CompletionCall]

    def call(self) -> CompletionCall:
        return self.checked()

    def error(self, error: NearstreamError) -> ErrorResponse:
        named = refusals.renamed(error, self.names)
        if not self.stream or refusals.precedes_stream(named):
            return refusals.TgiErrors().error(named)
        return ErrorResponse(200, error_events(named), sse.CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class CompletionCall:
    """One completion call that keeps the rules."""

    requests: tuple[GenerationRequest, ...]
    asked: Parameters
    terms: Terms
    stream: bool
    form: Form

    @property
    def content_type(self) -> str:
        return sse.CONTENT_TYPE if self.stream else "application/json"

    @property
    def keepalive(self) -> bytes:
        return b""

    def settle(self, request: GenerationRequest, *, prompt_tokens: int) -> Settled:
        return rules.settle(request, self.asked, self.terms, prompt_tokens=prompt_tokens)

    def encoder(self, identity: Identity) -> Encoder:
        return PieceEncoder(self.form, identity) if self.stream else WholeEncoder(self.form, identity)


def _chat_call(chat: ChatBody, terms: Terms) -> CompletionCall:
    if chat.top_logprobs and not chat.logprobs:
        raise Invalid("`logprobs` must be true when `top_logprobs` is set")
    tools = chosen(chat.tools, chat.tool_choice)
    grammar = grammar_document(chat.response_format)
    if tools and grammar:
        raise ToolFailed("Grammar and tools are mutually exclusive")
    if tools:
        schema = call_schema(tools, words=may_answer_in_words(chat.tool_choice))
        grammar = {"type": "json", "value": schema}
    asked = _parameters(
        chat,
        max_tokens=chat.max_tokens if chat.max_completion_tokens is None else chat.max_completion_tokens,
        top_n_tokens=chat.top_logprobs,
        grammar=grammar,
    )
    rules.check(asked, terms.limits, inputs="a conversation")
    turns = tuple(message(turn) for turn in chat.messages)
    tool_prompt = chat.tool_prompt or PROMPT
    prompt = ChatPrompt(turns, tuple(tools), tool_prompt) if tools else ChatPrompt(turns)
    requests = _requests(chat, [prompt], asked, terms)
    form = Form(
        chat=True,
        choices=len(requests),
        per_prompt=len(requests),
        include_usage=_include_usage(chat),
        logprobs=bool(chat.logprobs),
        top_tokens=rules.chosen_is_top(asked),
        tools=bool(tools),
    )
    return CompletionCall(requests, asked, terms, bool(chat.stream), form)


def _completion_call(body: CompletionBody, terms: Terms) -> CompletionCall:
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    most = terms.limits.max_client_batch_size
    if len(prompts) > most:
        raise BatchTooLarge(f"Number of prompts exceeds the maximum allowed batch size of {most}")
    if body.suffix:
        raise Unsupported("suffix", "nearstream", "the model continues text, it does not fill gaps")
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise Unsupported("best_of", "nearstream", "ask for `n` choices, or send `best_of` to /generate")
    asked = _parameters(body, max_tokens=body.max_tokens, top_n_tokens=body.logprobs)
    rules.check(asked, terms.limits, inputs=min(prompts, key=len, default=""))
    requests = _requests(body, [TextPrompt(text) for text in prompts], asked, terms)
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
        top_tokens=rules.chosen_is_top(asked),
        echoes=tuple(text for text in prompts for _ in range(choices)) if body.echo else (),
    )
    return CompletionCall(requests, asked, terms, bool(body.stream), form)


def _parameters(
    body: Common,
    *,
    max_tokens: int | None,
    top_n_tokens: int | None,
    grammar: dict[str, object] | None = None,
) -> Parameters:
    """The body in TGI's words. Temperature 0 is greedy; anything else, absence too, samples."""
    greedy = body.temperature == 0
    return Parameters(
        do_sample=not greedy,
        temperature=None if greedy else body.temperature,
        top_p=None if greedy or body.top_p == 1 else body.top_p,
        frequency_penalty=body.frequency_penalty,
        repetition_penalty=body.repetition_penalty,
        max_new_tokens=max_tokens,
        stop=stops(body),
        seed=body.seed,
        top_n_tokens=top_n_tokens,
        grammar=grammar,
        adapter_id=body.model,
    )


def _requests(
    body: Common, prompts: Sequence[ChatPrompt | TextPrompt], asked: Parameters, terms: Terms
) -> tuple[GenerationRequest, ...]:
    """`n` for each prompt, those of one prompt side by side. Each of them has a seed of its own."""
    choices, most = 1 if body.n is None else body.n, terms.limits.max_client_batch_size
    if not 0 < choices <= most:
        raise Invalid(f"`n` must be > 0 and <= {most}. Given: {choices}")
    if len(prompts) * choices > most:
        raise Invalid(f"`n` times the number of prompts must be <= {most}. Given: {len(prompts) * choices}")
    default = terms.release.default_max_new_tokens
    return tuple(
        GenerationRequest(
            prompt=prompt,
            sampling=_sampling(body, asked, terms, choice),
            max_new_tokens=default if asked.max_new_tokens is None else asked.max_new_tokens,
            stop=tuple(asked.stop),
        )
        for prompt in prompts
        for choice in range(choices)
    )


def _sampling(body: Common, asked: Parameters, terms: Terms, choice: int) -> Sampling:
    presence = body.presence_penalty
    if presence is not None and abs(presence) > PRESENCE_BOUND:
        raise Invalid("`presence_penalty` must be >= -2.0 and <= 2.0")
    return replace(
        rules.sampling(asked, terms),
        presence_penalty=presence,
        logit_bias=biases(body),
        seed=None if asked.seed is None else (asked.seed + choice) % 2**64,
    )


def _include_usage(body: Common) -> bool:
    return body.stream_options is not None and bool(body.stream_options.include_usage)
