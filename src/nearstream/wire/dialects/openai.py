"""OpenAI's chat and text completions as TGI serves them: bodies to exchanges.

TGI's rules and limits hold here too; the OpenAI forms that TGI turns away (a string stop, an object as
json_schema, `top_p` of 1) are taken. Stop strings stay in the text: programs written for TGI count on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from nearstream.core.errors import BatchTooLarge, Invalid, NearstreamError, Unsupported
from nearstream.core.generation import ChatPrompt, GenerationRequest, Sampling, TextPrompt
from nearstream.core.ports import Encoder, Identity
from nearstream.wire.dialects import rules
from nearstream.wire.dialects.hf import Parameters, decode
from nearstream.wire.dialects.openai_answers import Form, PieceEncoder, WholeEncoder, error_events
from nearstream.wire.dialects.openai_bodies import (
    ChatBody,
    Common,
    CompletionBody,
    grammar_document,
    message,
    stops,
)
from nearstream.wire.dialects.terms import Terms
from nearstream.wire.framing import sse

PRESENCE_BOUND = 2.0


def read_chat(body: bytes, terms: Terms) -> OpenAIDraft:
    """Raises Malformed or Misshapen."""
    chat = decode(body, ChatBody)
    return OpenAIDraft(chat, terms, lambda: _chat_exchange(chat, terms))


def read_completion(body: bytes, terms: Terms) -> OpenAIDraft:
    """Raises Malformed or Misshapen."""
    completion = decode(body, CompletionBody)
    return OpenAIDraft(completion, terms, lambda: _completion_exchange(completion, terms))


def models(model: str) -> bytes:
    """The answer of /v1/models."""
    entry = {"id": model, "object": "model", "created": 0, "owned_by": model}
    return msgspec.json.encode({"object": "list", "data": [entry]})


@dataclass(frozen=True, slots=True)
class OpenAIDraft:
    """A completion body before its rules are checked."""

    body: Common
    terms: Terms
    checked: Callable[[], OpenAIExchange]

    @property
    def stream(self) -> bool:
        return bool(self.body.stream)

    @property
    def content_type(self) -> str:
        return sse.CONTENT_TYPE

    def exchange(self) -> OpenAIExchange:
        return self.checked()

    def broken(self, error: NearstreamError) -> bytes:
        return error_events(error)


@dataclass(frozen=True, slots=True)
class OpenAIExchange:
    """One completion call that keeps the rules."""

    request: GenerationRequest
    stream: bool
    form: Form

    @property
    def content_type(self) -> str:
        return sse.CONTENT_TYPE if self.stream else "application/json"

    def encoder(self, identity: Identity) -> Encoder:
        return PieceEncoder(self.form, identity) if self.stream else WholeEncoder(self.form, identity)


def _chat_exchange(chat: ChatBody, terms: Terms) -> OpenAIExchange:
    if chat.tools and chat.tool_choice != "none":
        raise Unsupported("tools", "nearstream", 'send `tool_choice` "none" to answer in plain text')
    if chat.top_logprobs and not chat.logprobs:
        raise Invalid("`logprobs` must be true when `top_logprobs` is set")
    asked = _parameters(
        chat,
        max_tokens=chat.max_tokens if chat.max_completion_tokens is None else chat.max_completion_tokens,
        top_n_tokens=chat.top_logprobs,
        grammar=grammar_document(chat.response_format),
    )
    rules.check(asked, terms.limits, inputs="a conversation")
    prompt = ChatPrompt(tuple(message(turn) for turn in chat.messages))
    form = Form(
        chat=True,
        include_usage=_include_usage(chat),
        logprobs=bool(chat.logprobs),
        top_tokens=rules.chosen_is_top(asked),
    )
    return OpenAIExchange(_request(chat, prompt, asked, terms), bool(chat.stream), form)


def _completion_exchange(body: CompletionBody, terms: Terms) -> OpenAIExchange:
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    most = terms.limits.max_client_batch_size
    if len(prompts) > most:
        raise BatchTooLarge(f"Number of prompts exceeds the maximum allowed batch size of {most}")
    if len(prompts) > 1:
        raise Unsupported("prompt", "nearstream", "send one prompt a call")
    if body.suffix:
        raise Unsupported("suffix", "nearstream")
    if body.logprobs is not None:
        raise Unsupported("logprobs", "nearstream", "chat completions have them")
    if (body.best_of or 1) != 1:
        raise Unsupported("best_of", "nearstream", "send the request several times")
    text = "".join(prompts)
    asked = _parameters(body, max_tokens=body.max_tokens)
    rules.check(asked, terms.limits, inputs=text)
    form = Form(chat=False, include_usage=_include_usage(body), echo=bool(body.echo))
    return OpenAIExchange(_request(body, TextPrompt(text), asked, terms), bool(body.stream), form)


def _parameters(
    body: Common,
    *,
    max_tokens: int | None,
    top_n_tokens: int | None = None,
    grammar: dict[str, object] | None = None,
) -> Parameters:
    """The body in TGI's words. Temperature 0 is greedy; anything else, absence too, samples."""
    if (body.n or 1) != 1:
        raise Unsupported("n", "nearstream", "send the request several times")
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


def _request(
    body: Common, prompt: ChatPrompt | TextPrompt, asked: Parameters, terms: Terms
) -> GenerationRequest:
    default = terms.release.default_max_new_tokens
    return GenerationRequest(
        prompt=prompt,
        sampling=_sampling(body, asked, terms),
        max_new_tokens=default if asked.max_new_tokens is None else asked.max_new_tokens,
        stop=tuple(asked.stop),
    )


def _sampling(body: Common, asked: Parameters, terms: Terms) -> Sampling:
    presence = body.presence_penalty
    if presence is not None and abs(presence) > PRESENCE_BOUND:
        raise Invalid("`presence_penalty` must be >= -2.0 and <= 2.0")
    if isinstance(body.logit_bias, list) and body.logit_bias:
        raise Unsupported("logit_bias", "nearstream", "as a list; send an object of token ids")
    biases = body.logit_bias if isinstance(body.logit_bias, dict) else {}
    return replace(rules.sampling(asked, terms), presence_penalty=presence, logit_bias=tuple(biases.items()))


def _include_usage(body: Common) -> bool:
    return body.stream_options is not None and bool(body.stream_options.include_usage)
