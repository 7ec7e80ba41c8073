"""TGI's generate calls: bodies of /, /generate and /generate_stream to exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import GenerationRequest, TextPrompt
from nearstream.core.ports import Encoder, Identity
from nearstream.wire.dialects import rules
from nearstream.wire.dialects.hf import GenerateBody, Parameters, decode
from nearstream.wire.dialects.terms import Terms
from nearstream.wire.dialects.tgi_answers import EventEncoder, Shape, WholeEncoder, error_event
from nearstream.wire.framing import sse


class Route(StrEnum):
    """Where a body came in, which decides the shape of its answer."""

    COMPAT = "/"
    GENERATE = "/generate"
    STREAM = "/generate_stream"


def read(body: bytes, terms: Terms, *, route: Route) -> TgiDraft:
    """Raises Malformed or Misshapen."""
    return TgiDraft(decode(body, GenerateBody), terms, route)


@dataclass(frozen=True, slots=True)
class TgiDraft:
    """A generate body before its rules are checked."""

    body: GenerateBody
    terms: Terms
    route: Route

    @property
    def stream(self) -> bool:
        return self.route is Route.STREAM or (self.route is Route.COMPAT and self.body.stream)

    @property
    def content_type(self) -> str:
        return sse.CONTENT_TYPE

    def exchange(self) -> TgiExchange:
        asked, limits = self.parameters(), self.terms.limits
        if self.stream:
            rules.check_streaming(asked)
        else:
            rules.check_best_of(asked, limits)
        rules.check(asked, limits, inputs=self.body.inputs)
        default = self.terms.release.default_max_new_tokens
        request = GenerationRequest(
            prompt=TextPrompt(self.body.inputs),
            sampling=rules.sampling(asked, self.terms),
            max_new_tokens=default if asked.max_new_tokens is None else asked.max_new_tokens,
            stop=tuple(asked.stop),
            truncate=asked.truncate,
        )
        return TgiExchange(request, self.stream, self.shape(asked))

    def broken(self, error: NearstreamError) -> bytes:
        return error_event(error, space=self.terms.release.space_after_data)

    def parameters(self) -> Parameters:
        if self.body.parameters is not None:
            return self.body.parameters
        return Parameters(do_sample=self.terms.release.samples_without_parameters)

    def shape(self, asked: Parameters) -> Shape:
        full = asked.return_full_text
        return Shape(
            release=self.terms.release,
            details=asked.details or asked.decoder_input_details,
            full_text=self.route is Route.COMPAT if full is None else full,
            as_array=self.route is Route.COMPAT,
            top_tokens=rules.chosen_is_top(asked),
        )


@dataclass(frozen=True, slots=True)
class TgiExchange:
    """One generate call that keeps the rules."""

    request: GenerationRequest
    stream: bool
    shape: Shape

    @property
    def content_type(self) -> str:
        return sse.CONTENT_TYPE if self.stream else "application/json"

    def encoder(self, identity: Identity) -> Encoder:
        prompt = identity.prompt_text if self.shape.full_text else ""
        return EventEncoder(self.shape, prompt) if self.stream else WholeEncoder(self.shape, prompt)
