"""The text of a JSON string that arrives in pieces, as early LMI containers stream one document."""

from __future__ import annotations

import codecs
import json
import re
from typing import Final

_UNIT: Final = re.compile(
    rb'[^"\\]+'
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4}"
    rb"|\\u(?![dD][89abAB])[0-9a-fA-F]{4}"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}(?=[^\\]|\\[^u])"
    rb'|\\["\\/bfnrt]'
)
"""A run of plain text, or one escape; both halves of a pair of surrogates are one."""
_LONGEST_ESCAPE: Final = 12


class JsonText:
    """Bytes after a string's opening quote in, cut anywhere; its text out."""

    def __init__(self) -> None:
        self.fault: str | None = None
        """Why the text cannot be read on: an escape that JSON does not have."""
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = b""

    def feed(self, data: bytes) -> tuple[str, bytes | None]:
        """The text that is whole now; and what follows the closing quote, once that has come.

        A text with a `fault` has been read up to it.
        """
        held, at = self._held + data, 0
        units: list[bytes] = []
        while unit := _UNIT.match(held, at):
            units.append(unit.group())
            at = unit.end()
        self._held = held[at:]
        ended = self._held.startswith(b'"')
        if len(self._held) >= _LONGEST_ESCAPE and not ended:
            self.fault = f"a text has an escape that JSON does not have: {self._held[:12]!r}"
        text = self._characters.decode(b"".join(units), final=ended)
        return _unescaped(text), self._held[1:] if ended else None


def _unescaped(text: str) -> str:
    """Half a pair of surrogates is no character: it becomes the mark for one that cannot be shown."""
    plain: str = json.loads(f'"{text}"', strict=False)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
