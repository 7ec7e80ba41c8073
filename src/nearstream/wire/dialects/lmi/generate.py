"""LMI's calls, three generations of them: bodies to exchanges, and which answer a call gets.

Follows DJL Serving's Python handlers, 0.23 to 0.36.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from nearstream.core.errors import BatchTooLarge, Invalid, Misshapen, NearstreamError
from nearstream.core.generation import GenerationRequest, TextPrompt
from nearstream.core.ports import Encoder, Identity, Settled
from nearstream.wire.dialects.completions.fragments import Form
from nearstream.wire.dialects.json_bodies import decode
from nearstream.wire.dialects.lmi import bodies
from nearstream.wire.dialects.lmi.bodies import DEFAULT_MAX_NEW_TOKENS, LmiBody, LmiParameters
from nearstream.wire.dialects.lmi.chat import JSON_LINES, chat_encoder, read_chat, read_completion
from nearstream.wire.dialects.lmi.encoders import LineEncoder, whole_encoder
from nearstream.wire.dialects.lmi.errors import LmiErrors
from nearstream.wire.dialects.lmi.fragments import Shape
from nearstream.wire.dialects.lmi.kinds import WHOLE, Kind, chosen
from nearstream.wire.dialects.lmi.pieces import OutputsEncoder, PieceEncoder
from nearstream.wire.dialects.lmi.stopping import Visible
from nearstream.wire.dialects.lmi.terms import LmiTerms
from nearstream.wire.dialects.port import ErrorResponse, ParsedBody, renamed
from nearstream.wire.framing import sse

_CONTENT_TYPES: dict[Kind, str] = {
    "outputs": JSON_LINES,
    "lines": JSON_LINES,
    "events": sse.CONTENT_TYPE,
    "chat_lines": JSON_LINES,
    "chat_events": sse.CONTENT_TYPE,
}
ABSENT = msgspec.Raw()
# What the engine calls otherwise.
_NAMES = {"prefill_logprobs": "decoder_input_details", "adapter": "adapters"}


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that tell one kind of body from another; their values are read with that kind."""

    prompt: msgspec.Raw = ABSENT
    inputs: msgspec.Raw = ABSENT
    messages: msgspec.Raw = ABSENT
    adapters: str | list[str] | None = None
    """In a body of OpenAI's, which has no such key; the others have it among their own."""


def read(body: bytes, terms: LmiTerms) -> ParsedBody:
    """Conversations are read since 0.27, completions since 0.35. Raises Malformed or Misshapen."""
    keys, release = decode(body, Keys), terms.release
    prompt, inputs, messages = (_given(value) for value in (keys.prompt, keys.inputs, keys.messages))
    if release.by_body and prompt:
        return read_completion(body, terms, keys.adapters)
    if release.by_body and not (inputs or messages):
        raise Misshapen("invalid payload. must contain prompt, inputs, or messages")
    if release.stream_key and messages and not (release.by_body and inputs):
        return read_chat(body, terms, keys.adapters)
    return ParsedLmiGenerate(decode(body, LmiBody), terms)


def _given(value: msgspec.Raw) -> bool:
    return bytes(value) not in {b"", b"null"}


@dataclass(frozen=True, slots=True)
class ParsedLmiGenerate:
    """A generate body before its rules are checked."""

    body: LmiBody
    terms: LmiTerms

    def call(self) -> LmiCall:
        parameters, inputs = self.body.parameters or LmiParameters(), self._inputs()
        bodies.check(parameters)
        kind = self._kind(parameters, several=len(inputs) > 1)
        named = bodies.adapters(self.body.adapters, self.terms, count=len(inputs))
        requests = tuple(
            GenerationRequest(
                prompt=TextPrompt(text),
                sampling=bodies.sampling(parameters, self.terms, adapter),
                max_new_tokens=bodies.max_new_tokens(parameters, self.terms),
                stop=bodies.stops(parameters),
                truncate=bodies.truncate(parameters),
            )
            for text, adapter in zip(inputs, named, strict=True)
        )
        seen = bodies.visible(parameters, self.terms)
        return LmiCall(requests, kind, self._shape(parameters, inputs), self.terms, seen)

    def error(self, error: NearstreamError) -> ErrorResponse:
        """With a status, also where a stream was asked for: nothing of it was sent yet."""
        named = renamed(error, _NAMES)
        return LmiErrors(self.terms.release, self.terms.model).error(named)

    def _inputs(self) -> tuple[str, ...]:
        given, most = self.body.inputs, self.terms.limits.max_client_batch_size
        inputs = (given,) if isinstance(given, str) else tuple(given)
        if not inputs or not all(inputs):
            raise Invalid("`inputs` cannot be empty")
        if len(inputs) > most:
            raise BatchTooLarge(f"`inputs` may have up to {most} texts. Given: {len(inputs)}")
        return inputs

    def _kind(self, parameters: LmiParameters, *, several: bool) -> Kind:
        kind = chosen(self.terms, parameters.output_formatter, streams=bool(self.body.stream))
        if several and kind in {"pieces", "whole"}:
            return "array"
        indexed = self.terms.release.generation == 3  # noqa: PLR2004 - a name, not a number
        if several and kind in {"lines", "events"} and not indexed:
            raise Invalid("several `inputs` cannot be streamed: send one a call, or ask for no stream")
        return kind

    def _shape(self, parameters: LmiParameters, inputs: tuple[str, ...]) -> Shape:
        release, form = self.terms.release, self.terms.form
        tgi = form.tgi_compat and release.generation > 1
        return Shape(
            release=release,
            inputs=inputs,
            details=tgi if parameters.details is None else parameters.details,
            full_text=bool(parameters.return_full_text or parameters.echo),
            tgi=tgi,
        )


@dataclass(frozen=True, slots=True)
class LmiCall:
    """One generate call that keeps the rules."""

    requests: tuple[GenerationRequest, ...]
    kind: Kind
    shape: Shape
    terms: LmiTerms
    visible: Visible = field(default_factory=Visible)

    @property
    def stream(self) -> bool:
        return self.kind not in WHOLE

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES.get(self.kind, "application/json")

    @property
    def keepalive(self) -> bytes:
        """Nothing: readers of lines break on blank ones."""
        return b""

    def settle(self, request: GenerationRequest, *, prompt_tokens: int) -> Settled:
        """An answer ends where the context does, whatever length was asked for."""
        limits, wanted = self.terms.limits, request.max_new_tokens or DEFAULT_MAX_NEW_TOKENS
        if not prompt_tokens:
            raise Invalid("`inputs` cannot be empty")
        if prompt_tokens > limits.max_input_tokens:
            raise Invalid(
                f"`inputs` must have up to {limits.max_input_tokens} tokens. Given: {prompt_tokens}"
            )
        return Settled(min(wanted, limits.max_total_tokens - prompt_tokens), request.sampling)

    def encoder(self, identity: Identity) -> Encoder:
        return self.visible.encoder(self._encoder(identity), answers=len(self.requests))

    def _encoder(self, identity: Identity) -> Encoder:
        if self.kind == "pieces":
            return PieceEncoder(self.shape)
        if self.kind == "outputs":
            return OutputsEncoder(self.shape)
        if self.kind in {"lines", "events"}:
            return LineEncoder(self.shape, events=self.kind == "events")
        if self.kind.startswith("chat"):
            form = Form(chat=True, choices=len(self.requests))
            return chat_encoder(self.kind, form, identity, self.terms.release)
        array = self.kind == "array" or self.shape.tgi or len(self.shape.inputs) > 1
        return whole_encoder(self.shape, array=array)
