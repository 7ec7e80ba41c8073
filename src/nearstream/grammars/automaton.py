"""Finite automata over characters: what several patterns, lengths and exclusions leave of a text together.

An automaton is deterministic, so that a grammar made of it never follows two ways at once; it has a bound on
its states, so that no expression makes it grow without end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from nearstream.grammars.expressions import Alt, Chars, Expr, Repeat, Seq, Text
from nearstream.grammars.rules import too_large

MOST_AUTOMATON_STATES = 2500
_MOST_PARTS = 12000
Move = tuple[int, int, int]
"""From a first to a last character, and the state it leads to."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """State 0 begins. Each state's moves are sorted and apart; a text ends in an accepting state."""

    moves: tuple[tuple[Move, ...], ...]
    accepting: frozenset[int]

    def both(self, other: Automaton) -> Automaton:
        """What both take."""
        return _product(self, other, exclude=False)

    def without(self, other: Automaton) -> Automaton:
        """What this one takes and the other does not."""
        return _product(self, other, exclude=True)

    def takes(self, text: str) -> bool:
        state = 0
        for character in text:
            code = ord(character)
            target = next((to for low, high, to in self.moves[state] if low <= code <= high), None)
            if target is None:
                return False
            state = target
        return state in self.accepting

    @property
    def empty(self) -> bool:
        """Whether it takes nothing at all."""
        return not self.accepting


def lengths(least: int, most: int | None) -> Automaton:
    """Any text of so many characters."""
    last = least if most is None else most
    if last + 1 > MOST_AUTOMATON_STATES:
        raise too_large(f"a pattern beside a length of {last}")
    rows: list[tuple[Move, ...]] = [((0, 0x10FFFF, n + 1),) for n in range(last)]
    rows.append(((0, 0x10FFFF, last),) if most is None else ())
    return Automaton(tuple(rows), frozenset(range(least, last + 1)))


def automaton(expression: Expr) -> Automaton:
    """The automaton of an expression that refers to no rules. Raises Invalid where it grows too large."""
    parts = _Parts()
    end = parts.join(expression, 0)
    return _determined(parts, end)


class _Parts:
    """States with moves on characters and moves on nothing, as an expression is read."""

    def __init__(self) -> None:
        self.moves: list[list[Move]] = [[]]
        self.free: list[list[int]] = [[]]

    def state(self) -> int:
        if len(self.moves) >= _MOST_PARTS:
            raise too_large("repeats within repeats")
        self.moves.append([])
        self.free.append([])
        return len(self.moves) - 1

    def join(self, body: Expr, start: int) -> int:
        """Add `body` after `start`; the state in which it ends."""
        if isinstance(body, Chars):
            end = self.state()
            self.moves[start] += [(low, high, end) for low, high in body.spans]
            return end
        if isinstance(body, Text):
            for character in body.text:
                end = self.state()
                self.moves[start].append((ord(character), ord(character), end))
                start = end
            return start
        if isinstance(body, Seq):
            for item in body.items:
                start = self.join(item, start)
            return start
        if isinstance(body, Alt):
            return self._either(body.items, start)
        if isinstance(body, Repeat):
            return self._repeated(body, start)
        raise TypeError("an automaton refers to no rules")

    def _either(self, items: Iterable[Expr], start: int) -> int:
        end = self.state()
        for item in items:
            begin = self.state()
            self.free[start].append(begin)
            self.free[self.join(item, begin)].append(end)
        return end

    def _repeated(self, body: Repeat, start: int) -> int:
        for _ in range(body.least):
            start = self.join(body.item, start)
        if body.most is None:
            begin, end = self.state(), self.state()
            self.free[start] += [begin]
            self.free[begin].append(end)
            self.free[self.join(body.item, begin)].append(begin)
            return end
        end = self.state()
        for _ in range(body.most - body.least):
            self.free[start].append(end)
            begin = self.state()
            self.free[start].append(begin)
            start = self.join(body.item, begin)
        self.free[start].append(end)
        return end


def _closed(parts: _Parts, states: Iterable[int]) -> frozenset[int]:
    found, todo = set(states), list(states)
    while todo:
        for free in parts.free[todo.pop()]:
            if free not in found:
                found.add(free)
                todo.append(free)
    return frozenset(found)


def _determined(parts: _Parts, end: int) -> Automaton:
    start = _closed(parts, (0,))
    numbers, todo = {start: 0}, [start]
    rows: list[tuple[Move, ...]] = []
    work = 0
    for states in todo:
        row: list[Move] = []
        work += len(states)
        if work > 40 * _MOST_PARTS:
            raise too_large("too many ways to read the same text")
        for low, high, targets in _split([move for state in states for move in parts.moves[state]]):
            target = _closed(parts, targets)
            if target not in numbers:
                _counted(len(numbers))
                numbers[target] = len(numbers)
                todo.append(target)
            row.append((low, high, numbers[target]))
        rows.append(tuple(row))
    return _trimmed(rows, {number for states, number in numbers.items() if end in states})


def _split(moves: list[Move]) -> Iterator[tuple[int, int, frozenset[int]]]:
    """Spans that are apart, each with all the states that its characters lead to."""
    borders = sorted({low for low, _, _ in moves} | {high + 1 for _, high, _ in moves})
    opening: dict[int, list[int]] = {}
    closing: dict[int, list[int]] = {}
    for low, high, to in moves:
        opening.setdefault(low, []).append(to)
        closing.setdefault(high + 1, []).append(to)
    open_now: dict[int, int] = {}
    for low, after in pairwise(borders):
        for to in opening.get(low, ()):
            open_now[to] = open_now.get(to, 0) + 1
        for to in closing.get(low, ()):
            open_now[to] -= 1
        targets = frozenset(to for to, count in open_now.items() if count)
        if targets:
            yield low, after - 1, targets


def _product(one: Automaton, other: Automaton, *, exclude: bool) -> Automaton:
    numbers: dict[tuple[int, int], int] = {(0, 0): 0}
    todo = [(0, 0)]
    rows: list[tuple[Move, ...]] = []
    for a, b in todo:
        row: list[Move] = []
        theirs = other.moves[b] if b >= 0 else ()
        for low, high, pair in _paired(one.moves[a], theirs, exclude=exclude):
            if pair not in numbers:
                _counted(len(numbers))
                numbers[pair] = len(numbers)
                todo.append(pair)
            row.append((low, high, numbers[pair]))
        rows.append(tuple(row))
    return _trimmed(
        rows,
        {
            number
            for (a, b), number in numbers.items()
            if a in one.accepting and (b in other.accepting) != exclude
        },
    )


def _paired(
    ours: Iterable[Move], theirs: tuple[Move, ...], *, exclude: bool
) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Where each character leads in both; -1: the other one is past all that it takes."""
    for low, high, a in ours:
        at = low
        for other_low, other_high, b in theirs:
            if other_high < at or other_low > high:
                continue
            if exclude and at < other_low:
                yield at, other_low - 1, (a, -1)
            yield max(at, other_low), min(high, other_high), (a, b)
            at = other_high + 1
        if exclude and at <= high:
            yield at, high, (a, -1)


def _trimmed(rows: list[tuple[Move, ...]], accepting: set[int]) -> Automaton:
    """Without the states from which no end is reached, the same states told once, renumbered."""
    alive = _alive(rows, accepting)
    kept = [tuple(move for move in row if move[2] in alive) for row in rows]
    same = _merged(kept, accepting)
    numbers: dict[int, int] = {same[0]: 0}
    order = [same[0]]
    moves: list[tuple[Move, ...]] = []
    for state in order:
        for _, _, to in kept[state]:
            if same[to] not in numbers:
                numbers[same[to]] = len(numbers)
                order.append(same[to])
        moves.append(_joined(kept[state], same, numbers))
    return Automaton(tuple(moves), frozenset(numbers[same[s]] for s in accepting if same[s] in numbers))


def _alive(rows: list[tuple[Move, ...]], accepting: set[int]) -> set[int]:
    """The states from which an accepting one is reached."""
    before: dict[int, set[int]] = {}
    for state, row in enumerate(rows):
        for _, _, to in row:
            before.setdefault(to, set()).add(state)
    alive, todo = set(accepting), list(accepting)
    while todo:
        for state in before.get(todo.pop(), set()) - alive:
            alive.add(state)
            todo.append(state)
    return alive


def _merged(rows: list[tuple[Move, ...]], accepting: set[int]) -> list[int]:
    """For each state the first of those that go on just as it does; found from the ends backwards."""
    same = list(range(len(rows)))
    while True:
        found: dict[object, int] = {}
        changed = False
        for state, row in enumerate(rows):
            if same[state] != state:
                continue
            key = (state in accepting, tuple((low, high, same[to]) for low, high, to in row))
            first = found.setdefault(key, state)
            if first != state:
                same[state] = first
                changed = True
        if not changed:
            return same
        for state in range(len(rows)):
            same[state] = same[same[state]]


def _joined(row: tuple[Move, ...], same: list[int], numbers: Mapping[int, int]) -> tuple[Move, ...]:
    joined: list[Move] = []
    for low, high, to in sorted(row):
        target = numbers[same[to]]
        if joined and joined[-1][1] + 1 == low and joined[-1][2] == target:
            joined[-1] = joined[-1][0], high, target
        else:
            joined.append((low, high, target))
    return tuple(joined)


def _counted(states: int) -> None:
    if states >= MOST_AUTOMATON_STATES:
        raise too_large(f"a pattern of more than {MOST_AUTOMATON_STATES} states")
