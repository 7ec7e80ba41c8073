"""The encoders of chat and text completions: a chunk a token, or one object.

The constant parts of a chunk are put together once for an answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from nearstream.core.errors import NearstreamError, ToolFailed
from nearstream.core.generation import Delta, Token
from nearstream.core.ports import Encoder, Identity
from nearstream.wire.dialects.completions.call_reader import CallReader, Piece
from nearstream.wire.dialects.completions.fragments import (
    CALLED,
    DONE,
    Form,
    Usage,
    call_id,
    chat_logprobs,
    encode,
    opening,
    text_logprobs,
)
from nearstream.wire.dialects.completions.stop_trimmer import StopTrimmer
from nearstream.wire.dialects.completions.style import OPENAI_REASONS, Style
from nearstream.wire.dialects.whole import Completed, WholeEncoder
from nearstream.wire.framing import sse

_NO_TOKEN = Token(id=0, text="", special=True)
_NULL = b"null"
_ROLE = b'"role":"assistant",'


class ChunkEncoder:
    """One chunk a token; after the last one the usage, if asked for, and `[DONE]`."""

    def __init__(self, form: Form, style: Style, identity: Identity) -> None:
        self._form = form
        self._style = style
        self._identity = identity
        self._opening = sse.field() + opening(
            "chat.completion.chunk" if form.chat else "text_completion", identity
        )
        self._roles = [_ROLE] * form.choices
        self._heads = [self._head(index, _ROLE) for index in range(form.choices)]
        self._later_heads = [self._head(index, self._later_role) for index in range(form.choices)]
        self._close = b"}" if form.chat else b""
        null_usage = form.chat if style.null_usage_in_chat else form.include_usage
        self._end = b'}],"usage":null}\n\n' if null_usage else b"}]}\n\n"
        self._echoes = list(form.echoes)
        self._offsets = [len(echo) for echo in form.echoes] or [0] * form.choices
        self._readers = [CallReader() for _ in range(form.choices)] if form.tools else []
        trims = style.trims_stops and not form.tools
        self._trimmers = [StopTrimmer(form.stops) for _ in range(form.choices)] if trims else []
        self._usage = Usage(form)

    def feed(self, delta: Delta) -> bytes:
        index, finish = delta.index, delta.finish
        if finish is None:
            return b"".join([self._chunk(index, token, _NULL) for token in delta.tokens])
        *before, last = delta.tokens or (_NO_TOKEN,)
        chunks = [self._chunk(index, token, _NULL) for token in before]
        chunks.append(self._chunk(index, last, self._style.reasons[finish.reason]))
        if self._usage.ended(index, finish):
            if self._form.include_usage:
                chunks.append(b'%b,"choices":[],"usage":%b}\n\n' % (self._opening, self._usage.document))
            chunks.append(DONE)
        return b"".join(chunks)

    def fail(self, error: NearstreamError) -> bytes:
        return self._style.errors.events(error)

    @property
    def _later_role(self) -> bytes:
        return b"" if self._style.role_once else _ROLE

    def _head(self, index: int, role: bytes) -> bytes:
        key = b'"delta":{%b"content":' % role if self._form.chat else b'"text":'
        return b'%b,"choices":[{"index":%d,%b' % (self._opening, index, key)

    def _chunk(self, index: int, token: Token, reason: bytes) -> bytes:
        if self._readers:
            return self._call_chunk(index, token, reason)
        if self._trimmers:
            return self._trimmed_chunk(index, token, reason)
        return self._text_chunk(index, "" if token.special else token.text, (token,), reason)

    def _trimmed_chunk(self, index: int, token: Token, reason: bytes) -> bytes:
        """b"" where there is nothing to send yet."""
        trimmer = self._trimmers[index]
        text, tokens = trimmer.push(token, last=reason is not _NULL)
        if trimmer.stopped and reason is not _NULL:
            reason = self._style.reasons["stop"]
        if not text and reason is _NULL and not (tokens and self._form.logprobs):
            return b""
        return self._text_chunk(index, text, tokens, reason)

    def _text_chunk(self, index: int, text: str, tokens: Sequence[Token], reason: bytes) -> bytes:
        if self._echoes:
            text, self._echoes[index] = self._echoes[index] + text, ""
        head, self._heads[index] = self._heads[index], self._later_heads[index]
        return b'%b%b%b,"logprobs":%b,"finish_reason":%b%b' % (
            head,
            encode(text),
            self._close,
            self._logprobs(index, tokens) if self._form.logprobs else _NULL,
            reason,
            self._end,
        )

    def _call_chunk(self, index: int, token: Token, reason: bytes) -> bytes:
        """b"" while it is open whether the model calls a function or answers in words."""
        reader = self._readers[index]
        piece = reader.push("" if token.special else token.text)
        ends = reason is not _NULL
        if not piece and not ends:
            return b""
        if ends:
            piece, reason = _ended(reader, piece, reason)
        role, self._roles[index] = self._roles[index], self._later_role
        return b'%b,"choices":[{"index":%d,"delta":{%b%b},"logprobs":%b,"finish_reason":%b%b' % (
            self._opening,
            index,
            role,
            self._call(piece, index) if reader.name is not None else b'"content":%b' % encode(piece.content),
            self._logprobs(index, (token,)) if self._form.logprobs else _NULL,
            reason,
            self._end,
        )

    def _call(self, piece: Piece, index: int) -> bytes:
        """Id, type and name are sent once: clients join what is sent again."""
        identity = name = b""
        if piece.name is not None:
            identity = b'"id":%b,"type":"function",' % call_id(self._identity, index)
            name = b'"name":%b,' % encode(piece.name)
        arguments = encode(piece.arguments)
        return b'"tool_calls":[{"index":0,%b"function":{%b"arguments":%b}}]' % (identity, name, arguments)

    def _logprobs(self, index: int, tokens: Sequence[Token]) -> bytes:
        if self._form.chat:
            return chat_logprobs(tokens, self._form, with_bytes=self._style.token_bytes)
        offset = self._offsets[index]
        self._offsets[index] += sum([len(token.text) for token in tokens if not token.special])
        return text_logprobs(tokens, self._form, offset)


def whole_encoder(form: Form, style: Style, identity: Identity) -> Encoder:
    """One object with every choice."""
    document = CompletionDocument(form, style, identity)
    return WholeEncoder(form.choices, document.written, style.errors.body)


class CompletionDocument:
    """The object of a whole completion."""

    def __init__(self, form: Form, style: Style, identity: Identity) -> None:
        self._form = form
        self._style = style
        self._identity = identity

    def written(self, answers: Sequence[Completed]) -> bytes:
        usage = Usage(self._form)
        for index, answer in enumerate(answers):
            usage.ended(index, answer.finish)
        return b'%b,"choices":[%b],"usage":%b}' % (
            opening("chat.completion" if self._form.chat else "text_completion", self._identity),
            b",".join([self._choice(index, answer) for index, answer in enumerate(answers)]),
            usage.document,
        )

    def _choice(self, index: int, answer: Completed) -> bytes:
        form, reason = self._form, self._style.reasons[answer.finish.reason]
        text, tokens = answer.text, list(answer.tokens)
        if form.tools:
            message, reason = self._called(text, reason, index)
        else:
            text, tokens, reason = self._trimmed(answer, reason)
            message = b'{%b"content":%b}' % (_ROLE, encode(text))
        echo = form.echoes[index] if form.echoes else ""
        content = b'"message":%b' % message if form.chat else b'"text":%b' % encode(echo + text)
        logprobs = self._logprobs(tokens, len(echo)) if form.logprobs else _NULL
        return b'{"index":%d,%b,"logprobs":%b,"finish_reason":%b}' % (index, content, logprobs, reason)

    def _trimmed(self, answer: Completed, reason: bytes) -> tuple[str, list[Token], bytes]:
        if not self._style.trims_stops:
            return answer.text, list(answer.tokens), reason
        trimmer, texts, kept = StopTrimmer(self._form.stops), list[str](), list[Token]()
        for at, token in enumerate(answer.tokens, start=1):
            text, tokens = trimmer.push(token, last=at == len(answer.tokens))
            texts.append(text)
            kept += tokens
        return "".join(texts), kept, self._style.reasons["stop"] if trimmer.stopped else reason

    def _logprobs(self, tokens: Sequence[Token], offset: int) -> bytes:
        if self._form.chat:
            return chat_logprobs(tokens, self._form, with_bytes=self._style.token_bytes)
        return text_logprobs(tokens, self._form, offset)

    def _called(self, text: str, reason: bytes, index: int) -> tuple[bytes, bytes]:
        reader = CallReader()
        piece, reason = _ended(reader, reader.push(text), reason)
        if reader.name is None:
            return b'{%b"content":%b}' % (_ROLE, encode(piece.content)), reason
        described = self._style.null_descriptions
        call = b'{"id":%b,"type":"function","function":{%b"name":%b,"arguments":%b}}' % (
            call_id(self._identity, index),
            b'"description":null,' if described else b"",
            encode(reader.name),
            encode(piece.arguments),
        )
        return b'{%b%b"tool_calls":[%b]}' % (_ROLE, b"" if described else b'"content":null,', call), reason


def _ended(reader: CallReader, piece: Piece, reason: bytes) -> tuple[Piece, bytes]:
    """The last piece and why the answer ended. Raises ToolFailed if it is neither a call nor words."""
    if reader.name is not None:
        return piece, CALLED if reason == OPENAI_REASONS["eos"] else reason
    if not reader.unread:
        return piece, reason
    if reason == OPENAI_REASONS["eos"]:
        raise ToolFailed(f"Failed to parse generated text: {reader.unread!r}")
    return Piece(content=reader.unread), reason
