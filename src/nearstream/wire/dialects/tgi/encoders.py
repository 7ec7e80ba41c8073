"""TGI's answers: one event a token, or one object (`/generate`), or an array of one (`/`).

Keys come in TGI's order. An event is put together from prepared fragments: it is built once for every token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import Delta, Finish, Token
from nearstream.wire.dialects.hf.errors import TgiErrors
from nearstream.wire.dialects.hf.terms import Release
from nearstream.wire.dialects.whole import Completed, WholeEncoder
from nearstream.wire.framing import sse

_json = msgspec.json.Encoder().encode
_REASONS = {"length": b'"length"', "eos": b'"eos_token"', "stop": b'"stop_sequence"'}
_NO_TOKEN = Token(id=0, text="", special=True)


@dataclass(frozen=True, slots=True)
class Shape:
    """Which of TGI's answers to give. `top_tokens` names the chosen token as its own one alternative."""

    release: Release
    details: bool
    as_array: bool
    top_tokens: bool
    begins_with: str = ""
    """The prompt, where the answer's text is to include it."""


class EventEncoder:
    """One event a token; the last one has the whole text and, if asked for, the details."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._head = sse.field(space=shape.release.space_after_data) + b"{"
        self._texts = [shape.begins_with]
        self._index = 0

    def feed(self, delta: Delta) -> bytes:
        tokens, finish = delta.tokens, delta.finish
        if finish is None:
            return b"".join([self._event(token, b"null", b"null") for token in tokens])
        *before, last = tokens or (_NO_TOKEN,)
        events = [self._event(token, b"null", b"null") for token in before]
        self._keep(last)
        text = _json("".join(self._texts))
        details = self._details(finish) if self._shape.details else b"null"
        events.append(self._written(last, text, details))
        return b"".join(events)

    def fail(self, error: NearstreamError) -> bytes:
        return error_event(error, space=self._shape.release.space_after_data)

    def _event(self, token: Token, text: bytes, details: bytes) -> bytes:
        self._keep(token)
        return self._written(token, text, details)

    def _keep(self, token: Token) -> None:
        if not token.special:
            self._texts.append(token.text)

    def _written(self, token: Token, text: bytes, details: bytes) -> bytes:
        self._index += 1
        index = b'"index":%d,' % self._index if self._shape.release.event_index else b""
        written = _token(token)
        top = b'"top_tokens":[%b],' % written if self._shape.top_tokens else b""
        return b'%b%b"token":%b,%b"generated_text":%b,"details":%b}\n\n' % (
            self._head,
            index,
            written,
            top,
            text,
            details,
        )

    def _details(self, finish: Finish) -> bytes:
        length = b',"input_length":%d' % finish.prompt_tokens
        return b"{%b%b}" % (_counts(finish), length if self._shape.release.event_input_length else b"")


def whole_encoder(shape: Shape, sequences: int = 1) -> WholeEncoder:
    """One object; of several sequences the most probable one is the answer."""
    return WholeEncoder(sequences, WholeDocument(shape).written, lambda error: TgiErrors().error(error).body)


@dataclass(frozen=True, slots=True)
class WholeDocument:
    """The object of a whole answer, in an array where the route answers with one."""

    shape: Shape

    def written(self, sequences: Sequence[Completed]) -> bytes:
        best = max(sequences, key=_mean_logprob)
        details = b""
        if self.shape.details:
            others = [sequence for sequence in sequences if sequence is not best]
            details = b',"details":{%b}' % self._details(best, others)
        body = b'{"generated_text":%b%b}' % (self._text(best), details)
        return b"[%b]" % body if self.shape.as_array else body

    def _text(self, sequence: Completed) -> bytes:
        return _json(self.shape.begins_with + sequence.text)

    def _details(self, best: Completed, others: Sequence[Completed]) -> bytes:
        listed = [b'{"generated_text":%b,%b}' % (self._text(other), self._listed(other)) for other in others]
        details = self._listed(best)
        return b'%b,"best_of_sequences":[%b]' % (details, b",".join(listed)) if listed else details

    def _listed(self, sequence: Completed) -> bytes:
        tokens = [_token(token) for token in sequence.tokens]
        listed = b",".join(tokens)
        tops = b',"top_tokens":[%b]' % b",".join([b"[%b]" % token for token in tokens])
        counts = _counts(sequence.finish)
        prefill = b",".join([_prefill(token) for token in sequence.prefill])
        return b'%b,"prefill":[%b],"tokens":[%b]%b' % (
            counts,
            prefill,
            listed,
            tops if self.shape.top_tokens else b"",
        )


def _mean_logprob(sequence: Completed) -> float:
    """TGI's measure of the best: long answers are not worse for being long."""
    return sum([token.logprob or 0.0 for token in sequence.tokens]) / max(len(sequence.tokens), 1)


def error_event(error: NearstreamError, *, space: bool) -> bytes:
    return sse.frame(TgiErrors().error(error).body, space=space)


def _token(token: Token) -> bytes:
    return b'{"id":%d,"text":%b,"logprob":%b,"special":%b}' % (
        token.id,
        _json(token.text),
        _logprob(token.logprob),
        b"true" if token.special else b"false",
    )


def _prefill(token: Token) -> bytes:
    return b'{"id":%d,"text":%b,"logprob":%b}' % (token.id, _json(token.text), _logprob(token.logprob))


def _logprob(value: float | None) -> bytes:
    """Engines compute in single precision; more digits would be noise."""
    return b"null" if value is None else _json(float(f"{value:.8g}"))


def _counts(finish: Finish) -> bytes:
    return b'"finish_reason":%b,"generated_tokens":%d,"seed":%b' % (
        _REASONS[finish.reason],
        finish.generated_tokens,
        _json(finish.seed),
    )
