"""TGI's generate calls: bodies of /, /generate and /generate_stream to exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import GenerationRequest, TextPrompt
from nearstream.core.ports import Encoder, Identity, Settled
from nearstream.wire.dialects.hf import errors, rules
from nearstream.wire.dialects.hf.parameters import GenerateBody, Parameters
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.json_bodies import decode
from nearstream.wire.dialects.port import ErrorResponse, renamed
from nearstream.wire.dialects.tgi.encoders import EventEncoder, Shape, error_event, whole_encoder
from nearstream.wire.framing import sse

# What the engine calls otherwise.
_NAMES = {"prefill_logprobs": "decoder_input_details", "adapter": "adapter_id"}


class Route(StrEnum):
    """Where a body came in, which decides the shape of its answer."""

    COMPAT = "/"
    INVOCATIONS = "/invocations"
    """As COMPAT, but its stream holds events only: SageMaker's clients read it as records."""
    GENERATE = "/generate"
    STREAM = "/generate_stream"

    @property
    def compat(self) -> bool:
        return self in {Route.COMPAT, Route.INVOCATIONS}


def read(body: bytes, terms: Terms, *, route: Route) -> ParsedGenerate:
    """Raises Malformed or Misshapen."""
    return ParsedGenerate(decode(body, GenerateBody), terms, route)


@dataclass(frozen=True, slots=True)
class ParsedGenerate:
    """A generate body before its rules are checked."""

    body: GenerateBody
    terms: Terms
    route: Route

    @property
    def stream(self) -> bool:
        return self.route is Route.STREAM or (self.route.compat and self.body.stream)

    def call(self) -> TgiCall:
        parameters, limits = self._parameters(), self.terms.limits
        if self.stream:
            rules.check_streaming(parameters)
        else:
            rules.check_best_of(parameters, limits)
        rules.check(parameters, limits, inputs=self.body.inputs)
        default = self.terms.release.default_max_new_tokens
        request = GenerationRequest(
            prompt=TextPrompt(self.body.inputs),
            sampling=rules.sampling(parameters, self.terms),
            max_new_tokens=default if parameters.max_new_tokens is None else parameters.max_new_tokens,
            stop=tuple(parameters.stop),
            truncate=parameters.truncate,
        )
        requests = (request,) * (parameters.best_of or 1)
        keeps_alive = self.route in {Route.COMPAT, Route.STREAM}
        keepalive = sse.COMMENT if self.stream and keeps_alive else b""
        return TgiCall(requests, parameters, self.terms, self.stream, self._shape(parameters), keepalive)

    def error(self, error: NearstreamError) -> ErrorResponse:
        named = renamed(error, _NAMES)
        if not self.stream or errors.precedes_stream(named):
            return errors.TgiErrors().error(named)
        event = error_event(named, space=self.terms.release.space_after_data)
        return ErrorResponse(200, event, sse.CONTENT_TYPE)

    def _parameters(self) -> Parameters:
        if self.body.parameters is not None:
            return self.body.parameters
        return Parameters(do_sample=self.terms.release.samples_without_parameters)

    def _shape(self, parameters: Parameters) -> Shape:
        full = parameters.return_full_text
        return Shape(
            release=self.terms.release,
            details=parameters.details or parameters.decoder_input_details,
            as_array=self.route.compat,
            top_tokens=rules.chosen_is_top(parameters),
            begins_with=self.body.inputs if (self.route.compat if full is None else full) else "",
        )


@dataclass(frozen=True, slots=True)
class TgiCall:
    """One generate call that keeps the rules."""

    requests: tuple[GenerationRequest, ...]
    parameters: Parameters
    terms: Terms
    stream: bool
    shape: Shape
    keepalive: bytes

    @property
    def content_type(self) -> str:
        return sse.CONTENT_TYPE if self.stream else "application/json"

    def settle(self, request: GenerationRequest, *, prompt_tokens: int) -> Settled:
        return rules.settle(request, self.parameters, self.terms, prompt_tokens=prompt_tokens)

    def encoder(self, identity: Identity) -> Encoder:
        return EventEncoder(self.shape) if self.stream else whole_encoder(self.shape, len(self.requests))
