"""Regular expressions as users write them, in ECMAScript's or Python's words, read into expressions.

What the two read differently (whether `\\d` takes digits of every script, which characters `.` leaves out) is
read so that the text fits both: narrow for what has to be written, wide for what must not be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from nearstream.grammars.expressions import (
    EMPTY,
    HIGHEST,
    Chars,
    Expr,
    Repeat,
    Seq,
    Span,
    Text,
    alt,
    chars,
    complement,
    repeat,
    seq,
)
from nearstream.grammars.rules import too_large

_MOST_DEPTH = 40
_MOST_LENGTH = 20_000
_MOST_TIMES_DIGITS = 6
_BEYOND_ASCII: Span = (0x80, HIGHEST)
_CLASSES: dict[str, tuple[Span, ...]] = {
    "d": ((48, 57),),
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
    "s": ((9, 13), (32, 32)),
}
_WIDER: dict[str, tuple[Span, ...]] = {"s": ((28, 31),)}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0, "a": 7}
_LINE_ENDS: tuple[Span, ...] = ((10, 10), (13, 13), (0x2028, 0x2029))
_TIMES = re.compile(r"\{(\d*)(,?)(\d*)\}")
_GROUP = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)")
_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|U([0-9a-fA-F]{8})")
_PROPERTY = re.compile(r"\{(?:gc=|General_Category=)?\^?([A-Z][a-z]?)\}")
_ANY = Repeat(chars(((0, HIGHEST),)))


def whole(pattern: str) -> Expr:
    """The texts that are all of a match. Raises ValueError for what is not read here."""
    return alt(body for body, _, _ in _Reader(pattern, wide=False).ways())


def found(pattern: str, *, wide: bool = False) -> Expr:
    """The texts in which there is a match somewhere, as a schema's `pattern` means it. Raises ValueError."""
    return alt(
        seq(EMPTY if first else _ANY, body, EMPTY if last else _ANY)
        for body, first, last in _Reader(pattern, wide=wide).ways()
    )


def counted(expression: Expr) -> bool:
    """Whether it is one thing after another, so that repeats can be written as blocks."""
    items = expression.items if isinstance(expression, Seq) else (expression,)
    return all(
        isinstance(item, Chars | Text) or (isinstance(item, Repeat) and isinstance(item.item, Chars | Text))
        for item in items
    )


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str, *, wide: bool) -> None:
        if len(pattern) > _MOST_LENGTH:
            raise too_large(f"a pattern of {len(pattern)} characters, where {_MOST_LENGTH} are allowed")
        self._text = pattern
        self._at = 0
        self._depth = 0
        self._wide = wide

    def ways(self) -> list[tuple[Expr, bool, bool]]:
        """The alternatives, each with whether it is held to the text's beginning and to its end."""
        ways = [self._way()]
        while self._took("|"):
            ways.append(self._way())
        if self._at < len(self._text):
            raise ValueError("a `)` too many")
        return ways

    def _way(self) -> tuple[Expr, bool, bool]:
        first = False
        while self._took("^", "\\A"):
            first = True
        body = self._sequence()
        last = False
        while self._took("$", "\\Z", "\\z"):
            last = True
        return body, first, last

    def _took(self, *texts: str) -> bool:
        for text in texts:
            if self._text.startswith(text, self._at):
                self._at += len(text)
                return True
        return False

    @property
    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _sequence(self) -> Expr:
        items: list[Expr] = []
        while (
            self._next
            and self._next not in "|)$"
            and self._text[self._at : self._at + 2] not in {"\\Z", "\\z"}
        ):
            items.append(self._times(self._atom()))
        return seq(*items)

    def _times(self, item: Expr) -> Expr:
        least, most = 1, 1
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._took(sign):
                least, most = bounds  # type: ignore[assignment]
                break
        else:
            written = _TIMES.match(self._text, self._at)
            if written is None or not (written[1] or written[3]):
                return item
            self._at = written.end()
            least = _number(written[1] or "0")
            most = _number(written[3]) if written[3] else None if written[2] else least  # type: ignore[assignment]
        if most is not None and most < least:
            raise ValueError(f"the repeat {least} to {most} ends before it begins")
        if self._took("+"):
            raise ValueError("possessive repeats are not supported")
        self._took("?")
        if self._next in {"*", "+"}:
            raise ValueError("a repeat repeats nothing")
        return repeat(item, least, most)

    def _atom(self) -> Expr:
        character = self._next
        self._at += 1
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        if character == ".":
            return chars(((0, HIGHEST),) if self._wide else complement(_LINE_ENDS))
        if character == "\\":
            return chars(self._escape(wide=self._wide))
        if character in {"*", "+", "?"}:
            raise ValueError(f"`{character}` repeats nothing")
        if character == "^":
            raise ValueError("`^` is supported at the beginning of the pattern or of its alternatives only")
        return Text(character)

    def _group(self) -> Expr:
        kind = _GROUP.match(self._text, self._at)
        if kind:
            self._at = kind.end()
        elif self._next == "?":
            raise ValueError(f"`({self._text[self._at : self._at + 2]}` is not supported")
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise too_large(f"groups within more than {_MOST_DEPTH} groups")
        ways = [self._sequence()]
        while self._took("|"):
            ways.append(self._sequence())
        if self._next == "$":
            raise ValueError("`$` is supported at the end of the pattern or of its alternatives only")
        if not self._took(")"):
            raise ValueError("a `)` is missing")
        self._depth -= 1
        return alt(ways)

    def _class(self) -> Expr:
        negated = self._took("^")
        wide = self._wide != negated
        spans: list[Span] = []
        first = True
        while first or self._next != "]":
            first = False
            if not self._next:
                raise ValueError("a `]` is missing")
            spans += self._range(wide=wide)
        self._at += 1
        return chars(complement(spans) if negated else spans)

    def _range(self, *, wide: bool) -> tuple[Span, ...]:
        """A character, a class or a range within brackets."""
        begin = self._member(wide=wide)
        ranged = self._next == "-" and self._text[self._at + 1 : self._at + 2] not in {"]", ""}
        if not ranged or not _single(begin):
            return begin
        self._at += 1
        end = self._member(wide=wide)
        if not _single(end):
            return (*begin, (45, 45), *end)
        if end[0][0] < begin[0][0]:
            raise ValueError(f"the range {chr(begin[0][0])}-{chr(end[0][0])} ends before it begins")
        return ((begin[0][0], end[0][0]),)

    def _member(self, *, wide: bool) -> tuple[Span, ...]:
        character = self._next
        self._at += 1
        if character == "\\":
            return ((8, 8),) if self._took("b") else self._escape(wide=wide)
        return ((ord(character), ord(character)),)

    def _escape(self, *, wide: bool) -> tuple[Span, ...]:
        """What follows a backslash."""
        written = _HEX.match(self._text, self._at)
        if written:
            self._at = written.end()
            code = int(next(filter(None, written.groups())), 16)
            if code > HIGHEST:
                raise ValueError("an escape beyond the last character")
            return ((code, code),)
        letter = self._next
        self._at += 1
        if letter.lower() in _CLASSES:
            return _class_of(letter, wide=wide)
        if letter in {"p", "P"}:
            return self._property(letter)
        if letter in _CONTROLS:
            return ((_CONTROLS[letter], _CONTROLS[letter]),)
        if not letter or (letter.isascii() and letter.isalnum()):
            raise ValueError(f"`\\{letter}` is not supported")
        return ((ord(letter), ord(letter)),)

    def _property(self, letter: str) -> tuple[Span, ...]:
        named = _PROPERTY.match(self._text, self._at)
        if named is None:
            raise ValueError(f"`\\{letter}` is supported with a general category only, as in \\p{{L}}")
        self._at = named.end()
        spans = _category(named[1])
        if not spans:
            raise ValueError(f"`\\{letter}{{{named[1]}}}` is not supported")
        return complement(spans) if (letter == "P") != ("^" in named[0]) else spans


def _class_of(letter: str, *, wide: bool) -> tuple[Span, ...]:
    name = letter.lower()
    broad = (*_CLASSES[name], *_WIDER.get(name, ()), _BEYOND_ASCII)
    if letter == name:
        return broad if wide else _CLASSES[name]
    return complement(_CLASSES[name] if wide else broad)


def _single(spans: tuple[Span, ...]) -> bool:
    return len(spans) == 1 and spans[0][0] == spans[0][1]


def _number(digits: str) -> int:
    if len(digits) > _MOST_TIMES_DIGITS:
        raise too_large(f"a part is repeated {digits[:12]} times")
    return int(digits)


@cache
def _category(name: str) -> tuple[Span, ...]:
    """The characters of the basic plane that are of a general category, or of one that begins so."""
    codes = (code for code in range(0x10000) if unicodedata.category(chr(code)).startswith(name))
    return tuple(_runs(codes))


def _runs(codes: Iterable[int]) -> list[Span]:
    runs: list[Span] = []
    for code in codes:
        if runs and runs[-1][1] + 1 == code:
            runs[-1] = runs[-1][0], code
        else:
            runs.append((code, code))
    return runs
