"""Conversations as LMI has them: chunks a line each in 0.27 to 0.34, and OpenAI's own bodies since 0.35.

DJL Serving sends its chunks as JSON lines; OpenAI's clients read server-sent events only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import Delta, GenerationRequest, Token
from nearstream.core.ports import Encoder, Identity, Payload, Settled
from nearstream.wire.dialects.completions.fragments import DONE, Form, Usage
from nearstream.wire.dialects.completions.requests import CompletionCall
from nearstream.wire.dialects.completions.style import OPENAI_REASONS
from nearstream.wire.dialects.hf import completions
from nearstream.wire.dialects.hf.completions import ParsedCompletion
from nearstream.wire.dialects.lmi import bodies
from nearstream.wire.dialects.lmi.errors import FAILED, LmiErrors
from nearstream.wire.dialects.lmi.fragments import NO_TOKEN, encode, number, reason, spoken
from nearstream.wire.dialects.lmi.kinds import WHOLE, Kind
from nearstream.wire.dialects.lmi.terms import LmiRelease, LmiTerms
from nearstream.wire.dialects.port import ErrorResponse, renamed
from nearstream.wire.dialects.whole import Completed, WholeEncoder
from nearstream.wire.framing import sse

JSON_LINES = "application/jsonlines"


Adapters = str | list[str] | None


def read_chat(body: bytes, terms: LmiTerms, adapters: Adapters = None) -> ParsedLmiCompletion:
    """Raises Malformed or Misshapen."""
    return ParsedLmiCompletion(completions.read_chat(body, terms.tgi), terms, adapters)


def read_completion(body: bytes, terms: LmiTerms, adapters: Adapters = None) -> ParsedLmiCompletion:
    """Raises Malformed or Misshapen."""
    return ParsedLmiCompletion(completions.read_completion(body, terms.tgi), terms, adapters)


@dataclass(frozen=True, slots=True)
class ParsedLmiCompletion:
    """One of OpenAI's bodies as it came to an LMI container, before its rules are checked."""

    completion: ParsedCompletion
    terms: LmiTerms
    adapters: Adapters = None

    def call(self) -> LmiCompletionCall:
        """Raises Invalid for an adapter that is not registered, too."""
        completion = self.completion.call()
        requests = completion.requests
        if self.adapters:
            places = list(dict.fromkeys(id(request.prompt) for request in requests))
            named = bodies.adapters(self.adapters, self.terms, count=len(places))
            of = dict(zip(places, named, strict=True))
            requests = tuple(
                replace(request, sampling=replace(request.sampling, adapter=of[id(request.prompt)]))
                for request in requests
            )
        return LmiCompletionCall(completion, self._kind(), self.terms.release, requests)

    def error(self, error: NearstreamError) -> ErrorResponse:
        """With a status, also where a stream was asked for: nothing of it was sent yet."""
        named = renamed(error, self.completion.names)
        return LmiErrors(self.terms.release, self.terms.model).error(named)

    def _kind(self) -> Kind:
        form = self.terms.form
        if not self.completion.stream:
            return "chat_whole"
        if self.terms.release.by_body:
            return "chat_lines" if form.chat_as_lines else "chat_events"
        return "chat_events" if form.formatter == "sse_chat" else "chat_lines"


@dataclass(frozen=True, slots=True)
class LmiCompletionCall:
    """One conversation or completion that keeps the rules."""

    completion: CompletionCall
    kind: Kind
    release: LmiRelease
    requests: tuple[GenerationRequest, ...]

    @property
    def stream(self) -> bool:
        return self.kind not in WHOLE

    @property
    def content_type(self) -> str:
        return JSON_LINES if self.kind == "chat_lines" else self.completion.content_type

    @property
    def keepalive(self) -> bytes:
        return b""

    def settle(self, request: GenerationRequest, *, prompt_tokens: int) -> Settled:
        return self.completion.settle(request, prompt_tokens=prompt_tokens)

    def encoder(self, identity: Identity) -> Encoder:
        if not self.release.by_body and not self.completion.form.tools:
            return chat_encoder(self.kind, self.completion.form, identity, self.release)
        trims = self.release.by_body and bool(self.completion.form.stops)
        style = replace(self.completion.style, reasons=OPENAI_REASONS, trims_stops=trims)
        encoder = replace(self.completion, style=style).encoder(identity)
        return LinesEncoder(encoder) if self.kind == "chat_lines" else encoder


def chat_encoder(kind: Kind, form: Form, identity: Identity, release: LmiRelease) -> Encoder:
    """Chat objects as 0.27 to 0.34 made them."""
    if kind == "chat_whole":
        document = ChatDocument(form, identity, release)
        return WholeEncoder(
            form.choices, document.written, lambda error: LmiErrors(release).error(error).body
        )
    return ChatPieceEncoder(form, identity, release, events=kind == "chat_events")


class LinesEncoder:
    """The events of another encoder as JSON lines."""

    def __init__(self, events: Encoder) -> None:
        self._events = events

    def feed(self, delta: Delta) -> tuple[bytes, ...]:
        return tuple(_lines(self._events.feed(delta)))

    def fail(self, error: NearstreamError) -> tuple[bytes, ...]:
        return tuple(_lines(self._events.fail(error)))


class ChatPieceEncoder:
    """A chunk for each token; the first of each choice names the role, the last one why it ended."""

    def __init__(self, form: Form, identity: Identity, release: LmiRelease, *, events: bool) -> None:
        self._form = form
        self._release = release
        self._events = events
        self._head = (sse.field() if events else b"") + _opening("chat.completion.chunk", identity)
        self._tail = b"\n\n" if events else b"\n"
        self._roles = [b', "role": "assistant"'] * form.choices
        self._usage = Usage(form)

    def feed(self, delta: Delta) -> tuple[bytes, ...]:
        index, finish = delta.index, delta.finish
        if finish is None:
            return tuple([self._chunk(index, token, b"null") for token in delta.tokens])
        *before, last = delta.tokens or (NO_TOKEN,)
        chunks = [self._chunk(index, token, b"null") for token in before]
        chunks.append(self._chunk(index, last, reason(finish, self._release)))
        if self._usage.ended(index, finish):
            chunks += self._end(usage=self._form.include_usage)
        return tuple(chunks)

    def fail(self, error: NearstreamError) -> tuple[bytes, ...]:
        message = encode(str(error))
        failed = b', "error": {"message": %b, "code": %d}' % (message, FAILED)
        return (self._chunk(0, NO_TOKEN, b'"error"', failed), *self._end(usage=False))

    def _end(self, *, usage: bool) -> Iterator[bytes]:
        if usage:
            yield b'%b, "choices": [], "usage": %b}%b' % (self._head, _usage(self._usage), self._tail)
        if self._events:
            yield DONE

    def _chunk(self, index: int, token: Token, ended: bytes, failed: bytes = b"") -> bytes:
        role, self._roles[index] = self._roles[index], b""
        logprobs = b'{"content": [%b]}' % _logprob(token) if self._form.logprobs and not failed else b"null"
        return (
            b'%b, "choices": [{"index": %d, "delta": {"content": %b%b}, "logprobs": %b, '
            b'"finish_reason": %b}]%b}%b'
        ) % (self._head, index, encode(spoken(token)), role, logprobs, ended, failed, self._tail)


@dataclass(frozen=True, slots=True)
class ChatDocument:
    """The object of a whole chat."""

    form: Form
    identity: Identity
    release: LmiRelease

    def written(self, answers: Sequence[Completed]) -> bytes:
        usage = Usage(self.form)
        for index, answer in enumerate(answers):
            usage.ended(index, answer.finish)
        opening = _opening("chat.completion", self.identity)
        choices = b", ".join([self._choice(index, answer) for index, answer in enumerate(answers)])
        return b'%b, "choices": [%b], "usage": %b}\n' % (opening, choices, _usage(usage))

    def _choice(self, index: int, answer: Completed) -> bytes:
        logprobs = b"null"
        if self.form.logprobs:
            logprobs = b'{"content": [%b]}' % b", ".join([_logprob(token) for token in answer.tokens])
        return (
            b'{"index": %d, "message": {"role": "assistant", "content": %b}, "logprobs": %b, '
            b'"finish_reason": %b}'
        ) % (index, encode(answer.text), logprobs, reason(answer.finish, self.release))


def _opening(kind: str, identity: Identity) -> bytes:
    """What every object begins with, without its closing brace."""
    return b'{"id": %b, "object": %b, "created": %d' % (
        encode(f"chatcmpl-{identity.id}"),
        encode(kind),
        identity.created,
    )


def _usage(usage: Usage) -> bytes:
    return json.dumps(json.loads(usage.document)).encode()


def _logprob(token: Token) -> bytes:
    """The chosen token is its own one alternative, as in DJL Serving."""
    text = spoken(token)
    octets = json.dumps(list(text.encode()) if text else None).encode()
    fields = b'"token": %b, "logprob": %b, "bytes": %b' % (encode(text), number(token.logprob), octets)
    return b'{%b, "top_logprobs": [{%b}]}' % (fields, fields)


def _lines(payload: Payload) -> Iterator[bytes]:
    whole = payload if isinstance(payload, bytes) else b"".join(payload)
    for event in sse.split(whole):
        if event != DONE:
            yield event.removeprefix(sse.field())[:-1]
