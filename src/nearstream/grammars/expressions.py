"""What a grammar is made of: characters, text, sequences, alternatives, repeats, references to rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HIGHEST = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)
Span = tuple[int, int]
"""The code points from the first to the last of these, both included."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of these spans, which are sorted and apart."""

    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Exactly this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Seq:
    """One after another; none is the empty text."""

    items: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class Alt:
    """One of these; none can never be written."""

    items: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeat:
    """`least` to `most` times; None is any number."""

    item: Expr
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Ref:
    """What the rule of this name says."""

    name: str


Expr = Chars | Text | Seq | Alt | Repeat | Ref
EMPTY = Seq()
NEVER = Alt()


def chars(spans: Iterable[Span]) -> Expr:
    """The characters of spans in any order; surrogates are no characters."""
    merged: list[Span] = []
    for low, high in sorted(_characters(spans)):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return Chars(tuple(merged)) if merged else NEVER


def complement(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Every character that is in none of them."""
    found: list[Span] = []
    start = 0
    for low, high in sorted(spans):
        if start < low:
            found.append((start, low - 1))
        start = max(start, high + 1)
    if start <= HIGHEST:
        found.append((start, HIGHEST))
    return tuple(_characters(found))


def seq(*items: Expr) -> Expr:
    """A sequence without nesting; NEVER where one of them is."""
    flat: list[Expr] = []
    for item in items:
        if item == NEVER:
            return NEVER
        if isinstance(item, Seq):
            flat += item.items
        elif isinstance(item, Text) and flat and isinstance(last := flat[-1], Text):
            flat[-1] = Text(last.text + item.text)
        elif item != Text(""):
            flat.append(item)
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


def alt(items: Iterable[Expr]) -> Expr:
    """Alternatives without nesting or repetition of one."""
    flat: dict[Expr, None] = {}
    for item in items:
        flat.update(dict.fromkeys(item.items if isinstance(item, Alt) else (item,)))
    return next(iter(flat)) if len(flat) == 1 else Alt(tuple(flat))


def repeat(item: Expr, least: int = 0, most: int | None = None) -> Expr:
    """A repeat in its simplest form."""
    if most is not None and most < least:
        return NEVER
    if most == 0 or item == EMPTY:
        return EMPTY
    if item == NEVER:
        return NEVER if least else EMPTY
    return item if (least, most) == (1, 1) else Repeat(item, least, most)


def optional(item: Expr) -> Expr:
    return alt((item, EMPTY))


def _characters(spans: Iterable[Span]) -> Iterable[Span]:
    first, last = _SURROGATES
    for low, high in spans:
        if low <= min(high, first - 1):
            yield low, min(high, first - 1)
        if max(low, last + 1) <= high:
            yield max(low, last + 1), high
