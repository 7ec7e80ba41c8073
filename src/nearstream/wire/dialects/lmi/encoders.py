"""LMI's answers since 0.26, a line or an event for each token, and the whole answers of every release."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import Delta, Finish, Token
from nearstream.wire.dialects.lmi.errors import failure
from nearstream.wire.dialects.lmi.fragments import (
    NO_TOKEN,
    Shape,
    encode,
    spoken,
    stream_details,
    whole_details,
    written,
)
from nearstream.wire.dialects.whole import Completed, WholeEncoder
from nearstream.wire.framing import sse


class LineEncoder:
    """One line a token, or one event; the last one has the whole text and, if asked for, the details."""

    def __init__(self, shape: Shape, *, events: bool) -> None:
        self._shape = shape
        self._head = sse.field() if events else b""
        self._tail = b"\n\n" if events else b"\n"
        self._texts = [[beginning] for beginning in shape.beginnings()]

    def feed(self, delta: Delta) -> tuple[bytes, ...]:
        index, finish = delta.index, delta.finish
        if finish is None:
            return tuple([self._line(token, index) for token in delta.tokens])
        *before, last = delta.tokens or (NO_TOKEN,)
        return (*[self._line(token, index) for token in before], self._line(last, index, finish))

    def fail(self, error: NearstreamError) -> bytes:
        shape = self._shape
        line = failure(error, shape.release) if shape.later else self._broken(error)
        return b"%b%b%b" % (self._head, line, self._tail)

    def _line(self, token: Token, index: int, finish: Finish | None = None) -> bytes:
        self._texts[index].append(spoken(token))
        line = written(token, self._shape)
        if self._shape.later:
            line = self._later(line, index, finish)
        elif finish is None:
            line = b'{"token": %b}' % line
        else:
            details = b""
            if self._shape.details:
                details = b', "details": %b' % stream_details(finish, self._shape, index)
            line = b'{"token": %b, "generated_text": %b%b}' % (
                line,
                self._text(index),
                details,
            )
        return b"%b%b%b" % (self._head, line, self._tail)

    def _later(self, token: bytes, index: int, finish: Finish | None) -> bytes:
        text = details = b"null"
        if finish is not None:
            text = self._text(index)
            details = stream_details(finish, self._shape, index) if self._shape.details else b"null"
        return b'{"index": %d, "token": %b, "generated_text": %b, "details": %b}' % (
            index,
            token,
            text,
            details,
        )

    def _broken(self, error: NearstreamError) -> bytes:
        """A last token with the id -1 and the error's message."""
        token: dict[str, object] = {"id": -1, "text": ""}
        if self._shape.tgi:
            token |= {"logprob": -1, "special": True}
        else:
            token |= {"log_prob": -1, "special_token": True}
        document = {
            "token": token | {"error_msg": str(error)},
            "generated_text": "".join(self._texts[0]),
            "details": {"finish_reason": "error"},
        }
        return json.dumps(document, ensure_ascii=False).encode()

    def _text(self, index: int) -> bytes:
        return encode("".join(self._texts[index]))


def whole_encoder(shape: Shape, *, array: bool) -> WholeEncoder:
    """One body with the answer to every input, in an `array` or alone."""
    return WholeEncoder(
        len(shape.inputs), partial(_document, shape, array=array), lambda error: failure(error, shape.release)
    )


def _document(shape: Shape, answers: Sequence[Completed], *, array: bool) -> bytes:
    body = b", ".join([_answer(shape, index, answer) for index, answer in enumerate(answers)])
    end = b"" if shape.release.generation == 1 else b"\n"
    return (b"[%b]" % body if array else body) + end


def _answer(shape: Shape, index: int, answer: Completed) -> bytes:
    details = b""
    if shape.details:
        details = b', "details": %b' % whole_details(answer, shape, index)
    return b'{"generated_text": %b%b}' % (encode(shape.beginnings()[index] + answer.text), details)
