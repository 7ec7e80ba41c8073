"""Chat and text completions as TGI serves them, which LMI's servers take over.

TGI's rules and limits hold; the OpenAI forms that TGI turns away (a string stop, an object as json_schema,
`top_p` of 1, several choices) are taken. Stop strings stay in the text: programs written for TGI count on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec

from nearstream.core.errors import Invalid, NearstreamError, Unsupported
from nearstream.core.generation import GenerationRequest, Sampling
from nearstream.core.ports import Settled
from nearstream.wire.dialects.completions.bodies import ChatBody, CompletionBody, biases, stops
from nearstream.wire.dialects.completions.fields import check_fields
from nearstream.wire.dialects.completions.fragments import DONE
from nearstream.wire.dialects.completions.requests import (
    CompletionCall,
    Options,
    chat_call,
    option_names,
    text_call,
)
from nearstream.wire.dialects.completions.style import OPENAI_REASONS, Style
from nearstream.wire.dialects.hf import rules
from nearstream.wire.dialects.hf.errors import TgiErrors, error_message, precedes_stream
from nearstream.wire.dialects.hf.parameters import Parameters
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.json_bodies import decode
from nearstream.wire.dialects.port import ErrorResponse, renamed
from nearstream.wire.framing import sse

PRESENCE_BOUND = 2.0


class TgiCompletionErrors:
    """TGI's two forms. Its events have 422, whatever the error is."""

    def body(self, error: NearstreamError) -> bytes:
        return TgiErrors().error(error).body

    def events(self, error: NearstreamError) -> bytes:
        event = {"error": {"message": error_message(error), "http_status_code": 422}}
        return sse.frame(msgspec.json.encode(event)) + DONE


STYLE = Style(
    errors=TgiCompletionErrors(),
    # "stop" is the model's own end.
    reasons={**OPENAI_REASONS, "stop": b'"stop_sequence"'},
    trims_stops=False,
    role_once=False,
    null_usage_in_chat=True,
    token_bytes=False,
    null_descriptions=True,
    tools_exclude_grammar=True,
)


def read_chat(body: bytes, terms: Terms) -> ParsedCompletion:
    """Raises Malformed or Misshapen."""
    chat, keys = decode(body, ChatBody), decode(body, dict[str, msgspec.Raw])

    def checked() -> CompletionCall:
        check_fields(keys, ChatBody.__struct_fields__, strict=False)
        return chat_call(chat, TgiRules(terms), STYLE)

    return ParsedCompletion(bool(chat.stream), option_names(chat), checked)


def read_completion(body: bytes, terms: Terms) -> ParsedCompletion:
    """Raises Malformed or Misshapen."""
    text, keys = decode(body, CompletionBody), decode(body, dict[str, msgspec.Raw])

    def checked() -> CompletionCall:
        check_fields(keys, CompletionBody.__struct_fields__, strict=False)
        return text_call(text, TgiRules(terms), STYLE)

    return ParsedCompletion(bool(text.stream), option_names(text), checked)


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
        named = renamed(error, self.names)
        if not self.stream or precedes_stream(named):
            return TgiErrors().error(named)
        return ErrorResponse(200, STYLE.errors.events(named), sse.CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class TgiRules:
    """TGI's rules on its own parameters, applied to a completion's options."""

    terms: Terms

    @property
    def most_choices(self) -> int:
        return self.terms.limits.max_client_batch_size

    @property
    def default_max_new_tokens(self) -> int | None:
        return self.terms.release.default_max_new_tokens

    def check(self, options: Options) -> None:
        body = options.body
        if isinstance(body, CompletionBody) and body.best_of not in {None, body.n or 1}:
            raise Unsupported("best_of", "nearstream", "ask for `n` choices, or send `best_of` to /generate")
        rules.check(_parameters(options), self.terms.limits, inputs=options.shortest_text)

    def sampling(self, options: Options) -> Sampling:
        presence = options.body.presence_penalty
        if presence is not None and abs(presence) > PRESENCE_BOUND:
            raise Invalid("`presence_penalty` must be >= -2.0 and <= 2.0")
        found = rules.sampling(_parameters(options), self.terms)
        return replace(found, presence_penalty=presence, logit_bias=biases(options.body))

    def settle(self, request: GenerationRequest, options: Options, *, prompt_tokens: int) -> Settled:
        return rules.settle(request, _parameters(options), self.terms, prompt_tokens=prompt_tokens)


def _parameters(options: Options) -> Parameters:
    """The options as TGI's parameters. Temperature 0 is greedy; anything else, absence too, samples."""
    body = options.body
    greedy = body.temperature == 0
    return Parameters(
        do_sample=not greedy,
        temperature=None if greedy else body.temperature,
        top_p=None if greedy or body.top_p == 1 else body.top_p,
        frequency_penalty=body.frequency_penalty,
        repetition_penalty=body.repetition_penalty,
        max_new_tokens=options.max_new_tokens,
        stop=stops(body),
        seed=body.seed,
        top_n_tokens=options.alternatives,
        grammar=options.grammar,
        adapter_id=body.model,
    )
