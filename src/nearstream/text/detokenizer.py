"""Token ids to text as they come: each push gives the text that is now certain, never half a character."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

_utf8 = codecs.getincrementaldecoder("utf-8")


class Detokenizer(Protocol):
    """One answer's text. Control tokens are not pushed."""

    def push(self, token_id: int) -> str:
        """The text that this token completes; "" while a character is incomplete."""
        ...

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character that was never completed, else ""."""
        ...


class ByteDetokenizer:
    """For byte-level vocabularies: tokens are bytes, so a UTF-8 decoder is all it takes."""

    def __init__(self, pieces: Mapping[int, bytes]) -> None:
        self._pieces = pieces
        self._decode = _utf8("replace").decode

    def push(self, token_id: int) -> str:
        return self._decode(self._pieces.get(token_id, b""))

    def flush(self) -> str:
        return self._decode(b"", final=True)


class WindowDetokenizer:
    """For every other vocabulary: decodes a short window twice and gives the difference.

    The window is what was last given out and what is not given out yet, so a token costs the same however
    long the answer is. `text_of` decodes ids; `fallback` maps the ids of `<0xNN>` tokens to their bytes.
    """

    def __init__(
        self, text_of: Callable[[list[int]], str], *, fallback: Mapping[int, int], context: Sequence[int] = ()
    ) -> None:
        self._text_of = text_of
        self._fallback = fallback
        self._given = list(context)
        self._given_text = text_of(self._given)
        self._pending: list[int] = []
        self._run = _utf8("replace")

    def push(self, token_id: int) -> str:
        self._pending.append(token_id)
        byte = self._fallback.get(token_id)
        if byte is None:
            self._run.reset()
        else:
            self._run.decode(bytes((byte,)))
            if self._run.getstate()[0]:
                return ""
        return self._give()

    def flush(self) -> str:
        """One U+FFFD, as for a byte-level vocabulary, however many bytes of the character were there."""
        self._run.reset()
        incomplete, self._pending = bool(self._pending), []
        return "\ufffd" if incomplete else ""

    def _give(self) -> str:
        window = self._text_of(self._given + self._pending)
        pending_text = self._text_of(self._pending)
        # A stray byte can turn the whole run before it to U+FFFD: what was given out already stands.
        certain = window.startswith(self._given_text)
        text = window[len(self._given_text) :] if certain else pending_text
        self._given, self._given_text, self._pending = self._pending, pending_text, []
        return text
