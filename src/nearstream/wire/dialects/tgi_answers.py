"""TGI's answers: one event a token, or one object (`/generate`), or an array of one (`/`).

Keys come in TGI's order. An event is put together from prepared fragments: it is built once for every token.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import Delta, Finish, Token
from nearstream.wire.dialects.refusals import refusal
from nearstream.wire.dialects.terms import Release
from nearstream.wire.framing import sse

_json = msgspec.json.Encoder().encode
_REASONS = {"length": b'"length"', "eos": b'"eos_token"', "stop": b'"stop_sequence"'}
_NO_TOKEN = Token(id=0, text="", special=True)


@dataclass(frozen=True, slots=True)
class Shape:
    """Which of TGI's answers to give. `top_tokens` names the chosen token as its own one alternative."""

    release: Release
    details: bool
    full_text: bool
    as_array: bool
    top_tokens: bool


class EventEncoder:
    """One event a token; the last one has the whole text and, if asked for, the details."""

    def __init__(self, shape: Shape, prompt_text: str) -> None:
        self._shape = shape
        self._head = sse.field(space=shape.release.space_after_data) + b"{"
        self._texts = [prompt_text]
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


class WholeEncoder:
    """Says nothing until the answer is complete."""

    def __init__(self, shape: Shape, prompt_text: str) -> None:
        self._shape = shape
        self._prompt_text = prompt_text
        self._tokens: list[Token] = []

    def feed(self, delta: Delta) -> bytes:
        self._tokens += delta.tokens
        if delta.finish is None:
            return b""
        text = "".join([token.text for token in self._tokens if not token.special])
        details = b',"details":%b' % self._details(delta.finish) if self._shape.details else b""
        body = b'{"generated_text":%b%b}' % (_json(self._prompt_text + text), details)
        return b"[%b]" % body if self._shape.as_array else body

    def fail(self, error: NearstreamError) -> bytes:
        return refusal(error).body

    def _details(self, finish: Finish) -> bytes:
        tokens = [_token(token) for token in self._tokens]
        listed = b",".join(tokens)
        tops = b',"top_tokens":[%b]' % b",".join([b"[%b]" % token for token in tokens])
        return b'{%b,"prefill":[],"tokens":[%b]%b}' % (
            _counts(finish),
            listed,
            tops if self._shape.top_tokens else b"",
        )


def error_event(error: NearstreamError, *, space: bool) -> bytes:
    return sse.frame(refusal(error).body, space=space)


def _token(token: Token) -> bytes:
    return b'{"id":%d,"text":%b,"logprob":%b,"special":%b}' % (
        token.id,
        _json(token.text),
        _logprob(token.logprob),
        b"true" if token.special else b"false",
    )


def _logprob(value: float | None) -> bytes:
    """Engines compute in single precision; more digits would be noise."""
    return b"null" if value is None else _json(float(f"{value:.8g}"))


def _counts(finish: Finish) -> bytes:
    return b'"finish_reason":%b,"generated_tokens":%d,"seed":%b' % (
        _REASONS[finish.reason],
        finish.generated_tokens,
        _json(finish.seed),
    )
