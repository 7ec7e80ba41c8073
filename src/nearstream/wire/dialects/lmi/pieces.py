"""The streams of LMI 0.23 to 0.25: one JSON document in pieces, or a line of `outputs` for each token.

Clients of these releases take the document apart by its parts: its head and its end come in parts of their
own, and no piece ends as the document does.
"""

from __future__ import annotations

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import Delta, Token
from nearstream.wire.dialects.lmi.errors import failure
from nearstream.wire.dialects.lmi.fragments import NO_TOKEN, Shape, encode, spoken, whole_details
from nearstream.wire.dialects.whole import Completed

HEAD = b'{"generated_text": "'
END = b'"}'


class PieceEncoder:
    """A part for the document's head, for each token's text as it stands in JSON, for the document's end."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._opening = (HEAD, *_pieces(shape.beginnings()[0]))
        self._tokens: list[Token] = []
        self._prefill: tuple[Token, ...] = ()

    def feed(self, delta: Delta) -> tuple[bytes, ...]:
        parts, finish = list(self._opening), delta.finish
        self._opening = ()
        for token in delta.tokens:
            parts += _pieces(spoken(token))
        if self._shape.details:
            self._tokens += delta.tokens
        self._prefill += delta.prefill
        if finish is not None and self._shape.details:
            answer = Completed(tuple(self._tokens), finish, self._prefill)
            parts.append(b'", "details": %b}' % whole_details(answer, self._shape, 0))
        elif finish is not None:
            parts.append(END)
        return tuple(parts)

    def fail(self, error: NearstreamError) -> tuple[bytes, ...]:
        """The document is closed, so that what was made can be read; the error is a line after it."""
        return (END, b"\n%b\n" % failure(error, self._shape.release))


class OutputsEncoder:
    """A line for each token, with a place for each input; those that the token is not for are empty."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._beginnings = shape.beginnings()
        count = len(shape.inputs)
        self._heads = [b'{"outputs": [' + b'"", ' * index for index in range(count)]
        self._ends = [b', ""' * (count - index - 1) + b"]}\n" for index in range(count)]

    def feed(self, delta: Delta) -> tuple[bytes, ...]:
        index = delta.index
        tokens = delta.tokens or ((NO_TOKEN,) if self._beginnings[index] else ())
        return tuple([self._line(spoken(token), index) for token in tokens])

    def fail(self, error: NearstreamError) -> bytes:
        return failure(error, self._shape.release) + b"\n"

    def _line(self, text: str, index: int) -> bytes:
        if self._beginnings[index]:
            text, self._beginnings[index] = self._beginnings[index] + text, ""
        return b"%b%b%b" % (self._heads[index], encode(text), self._ends[index])


def _pieces(text: str) -> tuple[bytes, ...]:
    """`text` as it stands inside a JSON string. What looks like the document's end is cut in two."""
    if not text:
        return ()
    piece = encode(text)[1:-1]
    return (piece[:-1], piece[-1:]) if piece.endswith(END) else (piece,)
