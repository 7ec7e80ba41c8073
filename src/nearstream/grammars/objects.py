"""Objects: members in their order, some of them required, then others, so many in all as is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nearstream.grammars.expressions import EMPTY, NEVER, Expr, Text, alt, optional, seq
from nearstream.grammars.rules import Rules


@dataclass(frozen=True, slots=True)
class Member:
    """A name and its value; NEVER where there can be none."""

    written: Expr
    required: bool


@dataclass(frozen=True, slots=True)
class Others:
    """What members without a name in the schema look like, and how many members there are in all."""

    written: Expr
    least: int
    most: int | None


def members(rules: Rules, told: Sequence[Member], others: Others, marks: tuple[Expr, Expr]) -> Expr:
    """An object. From its last member backwards: what may follow after so many members."""
    comma, blank = marks
    required = sum(member.required for member in told)
    counted = others.most is not None or others.least > required
    cap = min(max(others.least, (others.most or 0) + 1), len(told)) if counted else 1
    cap = max(cap, 1)
    after = {
        count: _rest(rules, others if counted else replace(others, least=0), count, marks)
        for count in range(cap + 1)
    }
    for index in range(len(told) - 1, -1, -1):
        member = told[index]
        now: dict[int, Expr] = {}
        for count in range(min(index, cap) + 1):
            here = seq(comma if count else EMPTY, member.written, after[min(count + 1, cap)])
            ways = (here,) if member.required else (here, after[count])
            now[count] = rules.add(alt(ways))
        for count in range(min(index, cap) + 1, cap + 1):
            now[count] = NEVER
        after = now
    return seq(Text("{"), blank, after[0], Text("}"))


def _rest(rules: Rules, others: Others, count: int, marks: tuple[Expr, Expr]) -> Expr:
    """What follows the last named member after `count` members, or after any where they are not counted."""
    comma, blank = marks
    least = max(others.least - count, 0)
    most = None if others.most is None else others.most - count
    if most is not None and most < 0:
        return NEVER
    if others.written == NEVER or most == 0:
        return NEVER if least else blank if count else EMPTY
    if count:
        return seq(rules.times(seq(comma, others.written), least, most), blank)
    more = rules.times(seq(comma, others.written), max(least - 1, 0), None if most is None else most - 1)
    first = seq(others.written, more, blank)
    return first if least else optional(first)
