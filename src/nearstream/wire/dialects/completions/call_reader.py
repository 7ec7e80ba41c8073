"""Tool calls as the model writes them, `{"name": …, "arguments": {…}}`, read while they are being written.

They stand as they are or in `<tool_call>` tags. What does not begin like a call is words for the user.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_OPENING = "<tool_call>"
_CALL = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*')
_OPEN_STRING = r'"(?:[^"\\]|\\.)*\\?'
_IN_ORDER = (
    *(r"\s*", r"\{", r"\s*", *'"name"', r"\s*", ":", r"\s*", _OPEN_STRING, '"'),
    *(r"\s*", ",", r"\s*", *'"arguments"', r"\s*", ":", r"\s*"),
)
# What a call may still become.
_BEGINNING = re.compile("(?:".join(_IN_ORDER) + ")?" * (len(_IN_ORDER) - 1), re.DOTALL)
_NEXT = re.compile(r"\{|" + _OPENING)

_State = Literal["undecided", "words", "head", "arguments", "after"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What a token added: words for the user, or the name or some arguments of the call of this number."""

    content: str = ""
    call: int = 0
    name: str | None = None
    arguments: str = ""


class CallReader:
    """Feed it the answer's text, cut anywhere. `words`: an answer that calls nothing is allowed."""

    def __init__(self, *, words: bool) -> None:
        self._words = words
        self._state: _State = "undecided"
        self._held = ""
        self._object = _Object()
        self.calls = 0
        """How many have begun: their names are known."""

    @property
    def complete(self) -> bool:
        """Whether there are calls, and the last one is whole."""
        return self.calls > 0 and self._state == "after"

    @property
    def unread(self) -> str:
        """The text so far where it is neither a call nor words yet."""
        return self._held if self._state in {"undecided", "head"} and not self.calls else ""

    def push(self, text: str) -> list[Piece]:
        self._held += text
        return list(self._read())

    def flush(self) -> list[Piece]:
        """At the end: words that were held because a call may have begun with them."""
        held, self._held = self._held, ""
        worded = self._state == "words" or (self._words and not self.calls and self._state != "after")
        return [Piece(held)] if held and worded else []

    def _read(self) -> Iterator[Piece]:
        while True:
            before = self._state, len(self._held)
            if self._state == "undecided":
                self._decide()
            elif self._state == "words":
                yield from self._spoken()
            elif self._state == "head":
                yield from self._named()
            elif self._state == "arguments":
                yield from self._argued()
            else:
                self._find_next()
            if (self._state, len(self._held)) == before:
                return

    def _decide(self) -> None:
        text = self._held.lstrip()
        if text.startswith(("{", _OPENING)):
            self._state = "head"
        elif self._words and not _OPENING.startswith(text):
            self._state = "words"

    def _spoken(self) -> Iterator[Piece]:
        """Words up to a call, or up to what may begin one."""
        before, opening, rest = self._held.partition(_OPENING)
        if opening:
            self._state, self._held = "head", opening + rest
        else:
            kept = _beginning(before)
            before, self._held = before[: len(before) - kept], before[len(before) - kept :]
        if before:
            yield Piece(before)

    def _named(self) -> Iterator[Piece]:
        """The text is kept as it came until the call's name is known, or until it cannot be a call."""
        opening = self._held.find(_OPENING) if self._held.lstrip().startswith(_OPENING) else -1
        start = opening + len(_OPENING) if opening >= 0 else 0
        found = _CALL.match(self._held, start)
        if found:
            self._state, self._object = "arguments", _Object()
            self._held = self._held[found.end() :]
            self.calls += 1
            yield Piece(call=self.calls - 1, name=str(json.loads(found[1], strict=False)))
        elif self._words and not self.calls and not start and not _BEGINNING.fullmatch(self._held):
            self._state = "words"

    def _argued(self) -> Iterator[Piece]:
        arguments, self._held = self._object.push(self._held)
        if self._object.ended:
            self._state = "after"
        if arguments:
            yield Piece(call=self.calls - 1, arguments=arguments)

    def _find_next(self) -> None:
        """Past the end of a call and its tag, to the next one."""
        found = _NEXT.search(self._held)
        if found:
            self._state, self._held = "head", self._held[found.start() :]
        else:
            self._held = self._held[len(self._held) - _beginning(self._held) :]


def _beginning(text: str) -> int:
    """The length of the end of `text` with which a tag may begin."""
    return next((size for size in range(len(_OPENING) - 1, 0, -1) if text.endswith(_OPENING[:size])), 0)


class _Object:
    """Passes the text of one JSON object on."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self.ended = False

    def push(self, text: str) -> tuple[str, str]:
        """What of the text belongs to the object, and what comes after its end."""
        if not self._depth:
            text = text.lstrip()
        for at, character in enumerate(text):
            if self.ended:
                return text[:at], text[at:]
            self._read(character)
        return text, ""

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
            self.ended = self._depth <= 0
