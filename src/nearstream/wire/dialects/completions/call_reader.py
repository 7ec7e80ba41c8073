"""A tool call as the model writes it, `{"name": …, "arguments": {…}}`, read while it is being written.

Where the model may also answer in plain words, it writes `{"content": "…"}` instead.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_CALL = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*')
_CONTENT = re.compile(r'\s*\{\s*"content"\s*:\s*"')
# As much of a JSON string as holds no half of an escape or of a surrogate pair.
_CHARACTERS = re.compile(
    r'(?:[^"\\]|\\["\\/bfnrt]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}'
    r"|\\u(?![dD][89abAB])[0-9a-fA-F]{4})*"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """What a token added: the name of the function called, JSON of its arguments, or words for the user."""

    name: str | None = None
    arguments: str = ""
    content: str = ""

    def __bool__(self) -> bool:
        return self.name is not None or bool(self.arguments or self.content)


class CallReader:
    """Feed it the answer's text, cut anywhere."""

    def __init__(self) -> None:
        self._text = ""
        self._object: _Object | None = None
        self._in_words = False
        self.name: str | None = None
        """The function that is called, once that is known."""

    def push(self, text: str) -> Piece:
        if self._object is not None:
            return Piece(arguments=self._object.push(text))
        self._text += text
        if self._in_words:
            return Piece(content=self._words())
        if found := _CALL.match(self._text):
            self.name = str(json.loads(found[1], strict=False))
            self._object = _Object()
            return Piece(self.name, self._object.push(self._text[found.end() :]))
        if found := _CONTENT.match(self._text):
            self._in_words, self._text = True, self._text[found.end() :]
            return Piece(content=self._words())
        return Piece()

    @property
    def unread(self) -> str:
        """The text so far where it is neither a call nor words yet."""
        return "" if self._in_words or self._object else self._text

    def _words(self) -> str:
        found = _CHARACTERS.match(self._text)
        raw = found[0] if found else ""
        self._text = self._text[len(raw) :]
        words = str(json.loads(f'"{raw}"', strict=False))
        return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _Object:
    """Passes the text of one JSON object on, and nothing of what is around it."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._ended = False

    def push(self, text: str) -> str:
        if not self._depth and not self._ended:
            text = text.lstrip()
        for at, character in enumerate(text):
            if self._ended:
                return text[:at]
            self._read(character)
        return text

    def _read(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._in_string:
            self._escaped = character == "\\"
            self._in_string = character != '"'
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self._ended = self._depth <= 0
