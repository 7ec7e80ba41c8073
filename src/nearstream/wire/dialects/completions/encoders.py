"""The encoders of chat and text completions: a chunk a token, or one object.

The constant parts of a chunk are put together once for an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
        self._offsets = [0] * form.choices
        self._readers = [CallReader(words=form.words) for _ in range(form.choices)] if form.tools else []
        trims = style.trims_stops
        self._trimmers = [StopTrimmer(form.stops) for _ in range(form.choices)] if trims else []
        self._usage = Usage(form)
        self._prefills: dict[int, tuple[Token, ...]] = {}
        """The prompts' tokens that are yet to be sent."""

    def feed(self, delta: Delta) -> bytes:
        index, finish = delta.index, delta.finish
        if delta.prefill:
            self._prefills[index] = delta.prefill
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
        prefill = self._prefills.pop(index, ()) if self._prefills else ()
        if prefill:
            text = shown(prefill) + text
        head, self._heads[index] = self._heads[index], self._later_heads[index]
        return b'%b%b%b,"logprobs":%b,"finish_reason":%b%b' % (
            head,
            encode(text),
            self._close,
            self._logprobs(index, (*prefill, *tokens), len(prefill)) if self._form.logprobs else _NULL,
            reason,
            self._end,
        )

    def _call_chunk(self, index: int, token: Token, reason: bytes) -> bytes:
        """b"" while it is open whether the model calls a function or answers in words."""
        reader, ends = self._readers[index], reason is not _NULL
        text = "" if token.special else token.text
        if self._trimmers:
            text, _ = self._trimmers[index].push(token, last=ends)
            if self._trimmers[index].stopped and ends:
                reason = self._style.reasons["stop"]
        pieces = reader.push(text)
        if not pieces and not ends:
            return b""
        if ends:
            last, reason = ended(reader, reason)
            pieces += last
        role, self._roles[index] = self._roles[index], self._later_role
        return b'%b,"choices":[{"index":%d,"delta":{%b%b},"logprobs":%b,"finish_reason":%b%b' % (
            self._opening,
            index,
            role,
            self._delta(pieces, index),
            self._logprobs(index, (token,)) if self._form.logprobs else _NULL,
            reason,
            self._end,
        )

    def _delta(self, pieces: Sequence[Piece], index: int) -> bytes:
        content = "".join([piece.content for piece in pieces])
        calls = [self._call(piece, index) for piece in _by_call(pieces)]
        called = b'"tool_calls":[%b]' % b",".join(calls)
        if not calls:
            return b'"content":%b' % encode(content)
        return b'"content":%b,%b' % (encode(content), called) if content else called

    def _call(self, piece: Piece, index: int) -> bytes:
        """Id, type and name are sent once: clients join what is sent again."""
        identity = name = b""
        if piece.name is not None:
            identity = b'"id":%b,"type":"function",' % call_id(self._identity, index, piece.call)
            name = b'"name":%b,' % encode(piece.name)
        arguments = encode(piece.arguments)
        return b'{"index":%d,%b"function":{%b"arguments":%b}}' % (piece.call, identity, name, arguments)

    def _logprobs(self, index: int, tokens: Sequence[Token], prefill: int = 0) -> bytes:
        if self._form.chat:
            return chat_logprobs(tokens, self._form, with_bytes=self._style.token_bytes)
        offset = self._offsets[index]
        self._offsets[index] += len(shown(tokens))
        return text_logprobs(tokens, self._form, offset, prefill=prefill)


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
        text, tokens, reason = self._trimmed(answer, reason)
        if form.tools:
            message, reason = self._called(text, reason, index)
        else:
            message = b'{%b"content":%b}' % (_ROLE, encode(text))
        prefill = answer.prefill if form.echo else ()
        content = b'"message":%b' % message if form.chat else b'"text":%b' % encode(shown(prefill) + text)
        logprobs = self._logprobs([*prefill, *tokens], len(prefill)) if form.logprobs else _NULL
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

    def _logprobs(self, tokens: Sequence[Token], prefill: int) -> bytes:
        if self._form.chat:
            return chat_logprobs(tokens, self._form, with_bytes=self._style.token_bytes)
        return text_logprobs(tokens, self._form, 0, prefill=prefill)

    def _called(self, text: str, reason: bytes, index: int) -> tuple[bytes, bytes]:
        reader = CallReader(words=self._form.words)
        pieces = reader.push(text)
        last, reason = ended(reader, reason)
        content, calls = joined([*pieces, *last])
        if not calls:
            return b'{%b"content":%b}' % (_ROLE, encode(content)), reason
        described = self._style.null_descriptions
        written = [
            b'{"id":%b,"type":"function","function":{%b"name":%b,"arguments":%b}}'
            % (
                call_id(self._identity, index, at),
                b'"description":null,' if described else b"",
                encode(name),
                encode(arguments),
            )
            for at, (name, arguments) in enumerate(calls)
        ]
        words = encode(content) if content else _NULL
        said = b'"content":%b,' % words if content or not described else b""
        return b'{%b%b"tool_calls":[%b]}' % (_ROLE, said, b",".join(written)), reason


def _by_call(pieces: Sequence[Piece]) -> list[Piece]:
    """What was added to each call, as one piece."""
    found: dict[int, Piece] = {}
    for piece in pieces:
        if piece.name is None and not piece.arguments:
            continue
        before = found.get(piece.call, Piece(call=piece.call))
        name = before.name if piece.name is None else piece.name
        found[piece.call] = replace(before, name=name, arguments=before.arguments + piece.arguments)
    return list(found.values())


def shown(tokens: Sequence[Token]) -> str:
    """The text of tokens that are not special."""
    return "".join([token.text for token in tokens if not token.special])


def joined(pieces: Sequence[Piece]) -> tuple[str, list[tuple[str, str]]]:
    """The words of a whole answer, and its calls: the name and the arguments of each."""
    content, calls = "".join([piece.content for piece in pieces]), list[tuple[str, str]]()
    for piece in pieces:
        if piece.name is not None:
            calls.append((piece.name, ""))
        elif calls:
            name, arguments = calls[-1]
            calls[-1] = name, arguments + piece.arguments
    return content, calls


def ended(reader: CallReader, reason: bytes) -> tuple[list[Piece], bytes]:
    """The last pieces and why the answer ended; a call that is not whole was cut.

    Raises ToolFailed if an answer that came to its end is neither a call nor words.
    """
    if reader.calls:
        return reader.flush(), CALLED if reader.complete else reason
    unread = reader.unread
    if reason == OPENAI_REASONS["length"]:
        # The beginning of a call is no words.
        return ([] if unread.lstrip().startswith("{") else reader.flush()), reason
    words = reader.flush()
    if unread and not words:
        raise ToolFailed(f"Failed to parse generated text: {unread!r}")
    return words, reason
