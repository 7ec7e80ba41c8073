"""Text written into a grammar: as it stands, or within the quotes of JSON."""

from __future__ import annotations

import json

from nearstream.grammars.automaton import Automaton
from nearstream.grammars.expressions import (
    EMPTY,
    HIGHEST,
    NEVER,
    Expr,
    Ref,
    Span,
    Text,
    alt,
    chars,
    complement,
    seq,
)
from nearstream.grammars.rules import Rules

QUOTE = Text('"')
_ESCAPED: tuple[Span, ...] = ((0, 0x1F), (0x22, 0x22), (0x5C, 0x5C))
_SHORT = {0x22: '"', 0x5C: "\\", 8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}


def literal(value: object) -> Expr:
    """A JSON value, written out without blanks."""
    return Text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def any_character() -> Expr:
    """One character of a JSON string. Escapes by number are left out: they make tokens ten times as slow."""
    return quoted(((0, HIGHEST),))


def quoted(spans: tuple[Span, ...]) -> Expr:
    """One character of these as it stands in a JSON string; control characters that have no short escape are
    left out where there are others."""
    special = [code for low, high in _cut(spans, _ESCAPED) for code in range(low, high + 1)]
    short = chars((ord(_SHORT[code]), ord(_SHORT[code])) for code in special if code in _SHORT)
    found = alt((chars(_cut(spans, complement(_ESCAPED))), seq(Text("\\"), short)))
    return found if found != NEVER else alt(Text(f"\\u{code:04x}") for code in special)


def of_automaton(rules: Rules, found: Automaton, *, in_json: bool) -> Expr:
    """A reference to the texts that an automaton takes, in JSON with their quotes."""
    if found.empty:
        return alt(())
    end = QUOTE if in_json else EMPTY
    names = [rules.name() for _ in found.moves]
    for state, row in enumerate(found.moves):
        towards: dict[int, list[Span]] = {}
        for low, high, to in row:
            towards.setdefault(to, []).append((low, high))
        ways = [
            seq(quoted(tuple(spans)) if in_json else chars(spans), Ref(names[to]))
            for to, spans in towards.items()
        ]
        rules.set(names[state], alt((*ways, *((end,) if state in found.accepting else ()))))
    return seq(QUOTE, Ref(names[0])) if in_json else Ref(names[0])


def _cut(spans: tuple[Span, ...], others: tuple[Span, ...]) -> list[Span]:
    return [
        (max(low, first), min(high, last))
        for low, high in spans
        for first, last in others
        if max(low, first) <= min(high, last) and min(high, last) <= HIGHEST
    ]
