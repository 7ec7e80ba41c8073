"""The answers of OpenAI's completions in TGI's form: a chunk a token, or one object.

Constant parts of a chunk are put together once for an answer. Every chat delta names the role, as TGI's do.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import Delta, Finish, Token
from nearstream.core.ports import Identity
from nearstream.wire.dialects.refusals import refusal
from nearstream.wire.framing import sse

_json = msgspec.json.Encoder().encode
# TGI's words on this route: "stop" for the model's own end, "stop_sequence" for a stop string.
_REASONS = {"length": b'"length"', "eos": b'"stop"', "stop": b'"stop_sequence"'}
_NO_TOKEN = Token(id=0, text="", special=True)
DONE = sse.frame(b"[DONE]")


@dataclass(frozen=True, slots=True)
class Form:
    """Which of the answers to give. `top_tokens` names the chosen token as its own one alternative."""

    chat: bool
    include_usage: bool = False
    logprobs: bool = False
    top_tokens: bool = False
    echo: bool = False


class PieceEncoder:
    """One chunk a token; after the last one the usage, if asked for, and `[DONE]`."""

    def __init__(self, form: Form, identity: Identity) -> None:
        self._form = form
        kind = "chat.completion.chunk" if form.chat else "text_completion"
        self._head = sse.field() + _opening(kind, identity)
        self._usage_end = b',"usage":null}\n\n' if form.chat else b"}\n\n"
        self._echo = identity.prompt_text if form.echo else ""

    def feed(self, delta: Delta) -> bytes:
        finish = delta.finish
        if finish is None:
            return b"".join([self._chunk(token, b"null") for token in delta.tokens])
        *before, last = delta.tokens or (_NO_TOKEN,)
        chunks = [self._chunk(token, b"null") for token in before]
        chunks.append(self._chunk(last, _REASONS[finish.reason]))
        if self._form.include_usage:
            chunks.append(b'%b,"choices":[],"usage":%b}\n\n' % (self._head, _usage(finish)))
        chunks.append(DONE)
        return b"".join(chunks)

    def fail(self, error: NearstreamError) -> bytes:
        return error_events(error)

    def _chunk(self, token: Token, reason: bytes) -> bytes:
        text = "" if token.special else token.text
        if self._echo:
            text, self._echo = self._echo + text, ""
        said = b'"delta":{"role":"assistant","content":%b}' if self._form.chat else b'"text":%b'
        return b'%b,"choices":[{"index":0,%b,"logprobs":%b,"finish_reason":%b}]%b' % (
            self._head,
            said % _json(text),
            self._logprobs(token),
            reason,
            self._usage_end,
        )

    def _logprobs(self, token: Token) -> bytes:
        if not self._form.logprobs:
            return b"null"
        return b'{"content":[%b]}' % _logprob(token, self._form)


class WholeEncoder:
    """Says nothing until the answer is complete."""

    def __init__(self, form: Form, identity: Identity) -> None:
        self._form = form
        self._identity = identity
        self._tokens: list[Token] = []

    def feed(self, delta: Delta) -> bytes:
        self._tokens += delta.tokens
        finish = delta.finish
        if finish is None:
            return b""
        text = "".join([token.text for token in self._tokens if not token.special])
        if self._form.echo:
            text = self._identity.prompt_text + text
        said = b'"message":{"role":"assistant","content":%b}' if self._form.chat else b'"text":%b'
        kind = "chat.completion" if self._form.chat else "text_completion"
        return b'%b,"choices":[{"index":0,%b,"logprobs":%b,"finish_reason":%b}],"usage":%b}' % (
            _opening(kind, self._identity),
            said % _json(text),
            self._logprobs(),
            _REASONS[finish.reason],
            _usage(finish),
        )

    def fail(self, error: NearstreamError) -> bytes:
        return refusal(error).body

    def _logprobs(self) -> bytes:
        if not self._form.logprobs:
            return b"null"
        return b'{"content":[%b]}' % b",".join([_logprob(token, self._form) for token in self._tokens])


def error_events(error: NearstreamError) -> bytes:
    """How a stream ends that fails. TGI says 422 here whatever the error is."""
    message = {"error": {"message": refusal(error).error, "http_status_code": 422}}
    return sse.frame(_json(message)) + DONE


def _opening(kind: str, identity: Identity) -> bytes:
    return b'{"object":%b,"id":%b,"created":%d,"model":%b,"system_fingerprint":%b' % (
        _json(kind),
        _json(identity.id),
        identity.created,
        _json(identity.model),
        _json(identity.system_fingerprint),
    )


def _usage(finish: Finish) -> bytes:
    prompt, generated = finish.prompt_tokens, finish.generated_tokens
    counts = b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}'
    return counts % (prompt, generated, prompt + generated)


def _logprob(token: Token, form: Form) -> bytes:
    value = b"null" if token.logprob is None else _json(float(f"{token.logprob:.8g}"))
    plain = b'"token":%b,"logprob":%b' % (_json(token.text), value)
    return b'{%b,"top_logprobs":[%b]}' % (plain, b"{%b}" % plain if form.top_tokens else b"")
