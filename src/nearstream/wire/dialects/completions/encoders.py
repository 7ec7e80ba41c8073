"""The answers of OpenAI's completions in TGI's form: a chunk a token, or one object.

Constant parts of a chunk are put together once for an answer. Every chat delta names the role, as TGI's do.
"""

from __future__ import annotations

from nearstream.core.errors import NearstreamError, ToolFailed
from nearstream.core.generation import Delta, Token
from nearstream.core.ports import Identity
from nearstream.wire.dialects.completions.call_reader import CallReader, Piece
from nearstream.wire.dialects.completions.fragments import (
    CALLED,
    DONE,
    REASONS,
    Form,
    Usage,
    call_id,
    chat_logprobs,
    encode,
    error_events,
    opening,
    text_logprobs,
)
from nearstream.wire.dialects.refusals import TgiErrors
from nearstream.wire.framing import sse

_NO_TOKEN = Token(id=0, text="", special=True)
_ROLE = b'{"role":"assistant","content":%b}'
_CALL = b'{"role":"assistant","tool_calls":[{"index":0,%b"function":{%b"arguments":%b}}]}'


class PieceEncoder:
    """One chunk a token; after the last one the usage, if asked for, and `[DONE]`."""

    def __init__(self, form: Form, identity: Identity) -> None:
        self._form = form
        self._identity = identity
        kind = "chat.completion.chunk" if form.chat else "text_completion"
        self._opening = sse.field() + opening(kind, identity)
        key, self._close = (
            (b'"delta":{"role":"assistant","content":', b"}") if form.chat else (b'"text":', b"")
        )
        self._heads = [
            b'%b,"choices":[{"index":%d,%b' % (self._opening, index, key) for index in range(form.choices)
        ]
        self._end = b'}],"usage":null}\n\n' if form.chat else b"}]}\n\n"
        self._echoes = list(form.echoes)
        self._offsets = [len(echo) for echo in form.echoes] or [0] * form.choices
        self._readers = [CallReader() for _ in range(form.choices)] if form.tools else []
        self._usage = Usage(form)

    def feed(self, delta: Delta) -> bytes:
        index, finish = delta.index, delta.finish
        if finish is None:
            return b"".join([self._chunk(index, token, b"null") for token in delta.tokens])
        *before, last = delta.tokens or (_NO_TOKEN,)
        chunks = [self._chunk(index, token, b"null") for token in before]
        chunks.append(self._chunk(index, last, self._form.reasons[finish.reason]))
        if self._usage.ended(index, finish):
            if self._form.include_usage:
                chunks.append(b'%b,"choices":[],"usage":%b}\n\n' % (self._opening, self._usage.usage))
            chunks.append(DONE)
        return b"".join(chunks)

    def fail(self, error: NearstreamError) -> bytes:
        return error_events(error)

    def _chunk(self, index: int, token: Token, reason: bytes) -> bytes:
        if self._readers:
            return self._call_chunk(index, token, reason)
        text = "" if token.special else token.text
        if self._echoes:
            text, self._echoes[index] = self._echoes[index] + text, ""
        return b'%b%b%b,"logprobs":%b,"finish_reason":%b%b' % (
            self._heads[index],
            encode(text),
            self._close,
            self._logprobs(index, token) if self._form.logprobs else b"null",
            reason,
            self._end,
        )

    def _call_chunk(self, index: int, token: Token, reason: bytes) -> bytes:
        """b"" while it is open what the model is about to say."""
        reader = self._readers[index]
        piece = reader.push("" if token.special else token.text)
        ends = reason != b"null"
        if not piece and not ends:
            return b""
        if ends:
            piece, reason = _ended(reader, piece, reason)
        return b'%b,"choices":[{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b%b' % (
            self._opening,
            index,
            self._call(piece, index) if reader.name is not None else _ROLE % encode(piece.content),
            self._logprobs(index, token) if self._form.logprobs else b"null",
            reason,
            self._end,
        )

    def _call(self, piece: Piece, index: int) -> bytes:
        """Id, type and name come once: clients join what comes again."""
        if piece.name is None:
            return _CALL % (b"", b"", encode(piece.arguments))
        once = b'"id":%b,"type":"function",' % call_id(self._identity, index)
        return _CALL % (once, b'"name":%b,' % encode(piece.name), encode(piece.arguments))

    def _logprobs(self, index: int, token: Token) -> bytes:
        if self._form.chat:
            return chat_logprobs((token,), self._form)
        offset = self._offsets[index]
        self._offsets[index] += 0 if token.special else len(token.text)
        return text_logprobs((token,), self._form, offset)


class WholeEncoder:
    """Says nothing until every choice is complete."""

    def __init__(self, form: Form, identity: Identity) -> None:
        self._form = form
        self._identity = identity
        self._tokens: list[list[Token]] = [[] for _ in range(form.choices)]
        self._reasons = [b""] * form.choices
        self._usage = Usage(form)

    def feed(self, delta: Delta) -> bytes:
        index, finish = delta.index, delta.finish
        self._tokens[index] += delta.tokens
        if finish is None:
            return b""
        self._reasons[index] = self._form.reasons[finish.reason]
        if not self._usage.ended(index, finish):
            return b""
        return b'%b,"choices":[%b],"usage":%b}' % (
            opening("chat.completion" if self._form.chat else "text_completion", self._identity),
            b",".join([self._choice(index) for index in range(self._form.choices)]),
            self._usage.usage,
        )

    def fail(self, error: NearstreamError) -> bytes:
        return TgiErrors().error(error).body

    def _choice(self, index: int) -> bytes:
        tokens, form = self._tokens[index], self._form
        text = "".join([token.text for token in tokens if not token.special])
        reason, logprobs = self._reasons[index], b"null"
        echo = form.echoes[index] if form.echoes else ""
        if not form.chat:
            said = b'"text":%b' % encode(echo + text)
        elif form.tools:
            message, reason = self._called(text, reason, index)
            said = b'"message":%b' % message
        else:
            said = b'"message":%b' % (_ROLE % encode(text))
        if form.logprobs and form.chat:
            logprobs = chat_logprobs(tokens, form)
        elif form.logprobs:
            logprobs = text_logprobs(tokens, form, len(echo))
        return b'{"index":%d,%b,"logprobs":%b,"finish_reason":%b}' % (index, said, logprobs, reason)

    def _called(self, text: str, reason: bytes, index: int) -> tuple[bytes, bytes]:
        reader = CallReader()
        piece, reason = _ended(reader, reader.push(text), reason)
        if reader.name is None:
            return _ROLE % encode(piece.content), reason
        call = b'{"id":%b,"type":"function","function":{"description":null,"name":%b,"arguments":%b}}' % (
            call_id(self._identity, index),
            encode(reader.name),
            encode(piece.arguments),
        )
        return b'{"role":"assistant","tool_calls":[%b]}' % call, reason


def _ended(reader: CallReader, piece: Piece, reason: bytes) -> tuple[Piece, bytes]:
    """The last piece and why the answer ended. Raises ToolFailed if it is neither a call nor words."""
    if reader.name is not None:
        return piece, CALLED if reason == REASONS["eos"] else reason
    if not reader.unread:
        return piece, reason
    if reason == REASONS["eos"]:
        raise ToolFailed(f"Failed to parse generated text: {reader.unread!r}")
    return Piece(content=reader.unread), reason
