"""Arrays: some first items each of its own form, then any number of one form; or values that all differ."""

from __future__ import annotations

from collections.abc import Sequence

from nearstream.grammars.expressions import EMPTY, NEVER, Expr, Ref, Text, alt, optional, seq
from nearstream.grammars.rules import Rules

_MOST_IN_ANY_ORDER = 6


def listed(
    rules: Rules, prefix: Sequence[Expr], rest: Expr, bounds: tuple[int, int | None], marks: tuple[Expr, Expr]
) -> Expr:
    """An array of so many items, of which the first are as `prefix` says.

    `marks`: what stands between two items, and a blank.
    """
    (least, most), (comma, blank), count = bounds, marks, len(prefix)
    if prefix:
        more = rules.times(
            seq(comma, rest), max(least - count, 0), None if most is None else max(most - count, 0)
        )
        tail = seq(more, blank)
    elif most == 0:
        tail = EMPTY
    else:
        more = rules.times(seq(comma, rest), max(least - 1, 0), None if most is None else most - 1)
        tail = seq(rest, more, blank) if least else optional(seq(rest, more, blank))
    for index in range(count - 1, -1, -1):
        end = blank if index else EMPTY
        tail = seq(comma if index else EMPTY, prefix[index], tail)
        if most is not None and index >= most:
            tail = end
        elif index >= least:
            tail = alt((tail, end))
    return seq(Text("["), blank, tail, Text("]"))


def distinct(
    rules: Rules, values: Sequence[Expr], least: int, most: int | None, marks: tuple[Expr, Expr]
) -> Expr:
    """An array of different values: a few in any order, many in the order in which they are named.

    `marks`: what stands between two of them, and a blank.
    """
    _, blank = marks
    highest = len(values) if most is None else min(most, len(values))
    if least > highest:
        return NEVER
    items = _in_any_order if len(values) <= _MOST_IN_ANY_ORDER else _in_order
    return seq(Text("["), blank, items(rules, values, (least, highest), marks), Text("]"))


def _in_any_order(
    rules: Rules, values: Sequence[Expr], bounds: tuple[int, int], marks: tuple[Expr, Expr]
) -> Expr:
    """A rule for each set of values that are taken already."""
    (least, most), (comma, blank) = bounds, marks
    names = [rules.name() for _ in range(1 << len(values))]
    for taken, name in enumerate(names):
        count = taken.bit_count()
        ways: list[Expr] = [blank if count else EMPTY] if count >= least else []
        if count < most:
            for index, value in enumerate(values):
                if not taken >> index & 1:
                    ways.append(seq(comma if count else EMPTY, value, Ref(names[taken | 1 << index])))
        rules.set(name, alt(ways))
    return Ref(names[0])


def _in_order(
    rules: Rules, values: Sequence[Expr], bounds: tuple[int, int], marks: tuple[Expr, Expr]
) -> Expr:
    """From the last value backwards: what may follow after so many of them."""
    (least, most), (comma, blank) = bounds, marks
    free = least <= 1 and most == len(values)
    cap = 1 if free else most
    ends = (blank if count else EMPTY for count in range(cap + 1))
    after: list[Expr] = [end if count >= min(least, cap) else NEVER for count, end in enumerate(ends)]
    for value in reversed(values):
        now: list[Expr] = []
        for count in range(cap + 1):
            following = after[min(count + 1, cap)] if free or count < cap else NEVER
            ways = (seq(comma if count else EMPTY, value, following), after[count])
            now.append(rules.add(alt(ways)))
        after = now
    return after[0]
