"""The rules of one grammar: what they cost, which of them can end, and how they read in XGrammar's EBNF.

What a grammar costs is counted in states, for each of which the engine looks at its whole vocabulary once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nearstream.core.errors import Invalid
from nearstream.grammars.expressions import (
    EMPTY,
    NEVER,
    Alt,
    Chars,
    Expr,
    Ref,
    Repeat,
    Seq,
    Text,
    alt,
    repeat,
    seq,
)

ROOT = "root"
MOST_STATES = 6000
MOST_TIMES = 100_000
_MOST_WRITTEN_OUT = 128
_BLOCK = 16
_LEVELS = 3
_OPEN_CHARACTERS = 500
_OPEN_STATES = 12
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class Rules:
    """Rules by name, `root` among them. Raises Invalid as soon as they cost more than is allowed."""

    def __init__(self) -> None:
        self._rules: dict[str, Expr] = {}
        self._states = 0

    def once(self, name: str, build: Callable[[], Expr]) -> Ref:
        """A reference to the rule of this name, which is built where there is none yet."""
        if name not in self._rules:
            self._rules[name] = NEVER
            self.set(name, build())
        return Ref(name)

    def name(self) -> str:
        """A name that no rule has; its rule is to be set."""
        name = f"r{len(self._rules)}"
        self._rules[name] = NEVER
        return name

    def set(self, name: str, body: Expr) -> None:
        self._states += states(body)
        if self._states > MOST_STATES:
            raise too_large(f"more than {MOST_STATES} states")
        self._rules[name] = body

    def add(self, body: Expr) -> Expr:
        """A reference to a new rule that says `body`; `body` itself where that is no longer."""
        if body in {EMPTY, NEVER} or isinstance(body, Ref):
            return body
        name = self.name()
        self.set(name, body)
        return Ref(name)

    def times(self, item: Expr, least: int = 0, most: int | None = None) -> Expr:
        """A repeat. A long one is written in blocks: XGrammar counts those beyond 128 itself, then follows
        every way of counting for each token (0.5 s in place of 0.002 s, with 4096 tokens)."""
        if max(least, most or 0) <= _MOST_WRITTEN_OUT or item in {EMPTY, NEVER}:
            return repeat(item, least, most)
        if max(least, most or 0) > MOST_TIMES:
            raise too_large(
                f"a part is repeated {max(least, most or 0)} times, where {MOST_TIMES} are allowed"
            )
        sizes = [(1, self.add(item))]
        while sizes[-1][0] * _BLOCK < max(least, most or 0) and len(sizes) < _LEVELS:
            size, block = sizes[-1]
            sizes.append((size * _BLOCK, self.add(repeat(block, _BLOCK, _BLOCK))))
        rest = repeat(item) if most is None else self._up_to(most - least, sizes)
        return seq(_exactly(least, sizes), rest)

    def _up_to(self, most: int, sizes: list[tuple[int, Expr]]) -> Expr:
        """As many whole blocks as there are, then what is less than one."""
        size, block = sizes[-1]
        if size == 1:
            return repeat(block, 0, most)
        tail = self.add(self._up_to(min(size - 1, most), sizes[:-1]))
        whole, left = divmod(most, size)
        if not whole:
            return tail
        following = self.add(self._up_to(left, sizes[:-1]))
        for _ in range(whole):
            following = self.add(alt((seq(block, following), tail)))
        return following

    def __getitem__(self, name: str) -> Expr:
        return self._rules[name]

    def has(self, name: str) -> bool:
        return name in self._rules

    def pruned(self) -> Rules:
        """Only what `root` leads to and what can come to an end."""
        ends = self._ending()
        kept, todo = Rules(), [ROOT]
        while todo:
            name = todo.pop()
            if name in kept._rules:
                continue
            body = _without(self._rules[name], ends)
            kept._rules[name] = body
            todo += [ref.name for ref in _refs(body)]
        kept._states = self._states
        return kept

    @property
    def possible(self) -> bool:
        """Whether anything can be written at all, once pruned."""
        return self._rules[ROOT] != NEVER

    def ebnf(self) -> str:
        """The grammar as XGrammar reads it."""
        names = sorted(self._rules, key=lambda name: (name != ROOT, name))
        return "\n".join(f"{name} ::= {_written(self._rules[name])}" for name in names) + "\n"

    def _ending(self) -> frozenset[str]:
        ends: set[str] = set()
        users: dict[str, set[str]] = {}
        for name, body in self._rules.items():
            for ref in _refs(body):
                users.setdefault(ref.name, set()).add(name)
        todo = set(self._rules)
        while todo:
            name = todo.pop()
            if name not in ends and _ends(self._rules[name], ends):
                ends.add(name)
                todo |= users.get(name, set()) - ends
        return frozenset(ends)


def too_large(how: str) -> Invalid:
    return Invalid(f"grammar is not valid: it is too large: {how}; make it simpler")


def states(body: Expr) -> int:
    """What an expression costs: for a character of very many, more tokens have to be looked at."""
    if isinstance(body, Text):
        return len(body.text.encode())
    if isinstance(body, Repeat):
        return states(body.item) * max(body.least, body.most or 0, 1)
    if isinstance(body, Seq | Alt):
        return sum(map(states, body.items))
    if isinstance(body, Chars):
        return _OPEN_STATES if sum(high - low for low, high in body.spans) > _OPEN_CHARACTERS else 1
    return 1


def _exactly(count: int, sizes: list[tuple[int, Expr]]) -> Expr:
    parts: list[Expr] = []
    for size, block in reversed(sizes):
        times, count = divmod(count, size)
        parts.append(repeat(block, times, times))
    return seq(*parts)


def _refs(body: Expr) -> Iterator[Ref]:
    if isinstance(body, Ref):
        yield body
    elif isinstance(body, Repeat):
        yield from _refs(body.item)
    elif isinstance(body, Seq | Alt):
        for item in body.items:
            yield from _refs(item)


def _ends(body: Expr, ends: set[str]) -> bool:
    if isinstance(body, Ref):
        return body.name in ends
    if isinstance(body, Repeat):
        return not body.least or _ends(body.item, ends)
    if isinstance(body, Seq):
        return all(_ends(item, ends) for item in body.items)
    if isinstance(body, Alt):
        return any(_ends(item, ends) for item in body.items)
    return True


def _without(body: Expr, ends: frozenset[str]) -> Expr:
    """The expression without references to rules that never end."""
    if isinstance(body, Ref):
        return body if body.name in ends else NEVER
    if isinstance(body, Repeat):
        return repeat(_without(body.item, ends), body.least, body.most)
    if isinstance(body, Seq):
        return seq(*(_without(item, ends) for item in body.items))
    if isinstance(body, Alt):
        return alt(_without(item, ends) for item in body.items)
    return body


def _written(body: Expr) -> str:
    if isinstance(body, Ref):
        return body.name
    if isinstance(body, Text):
        return '"' + "".join(map(_escaped, body.text)) + '"'
    if isinstance(body, Chars):
        return "[" + "".join(_span(low, high) for low, high in body.spans) + "]"
    if isinstance(body, Repeat):
        return _grouped(body.item) + _times(body.least, body.most)
    return (" " if isinstance(body, Seq) else " | ").join(map(_grouped, body.items)) or '""'


def _times(least: int, most: int | None) -> str:
    if most is None:
        return ("*", "+")[least] if least <= 1 else f"{{{least},}}"
    return f"{{{least},{most}}}"


def _grouped(body: Expr) -> str:
    text = _written(body)
    return f"({text})" if isinstance(body, Seq | Alt) and len(body.items) > 1 else text


def _span(low: int, high: int) -> str:
    return _escaped(chr(low)) if low == high else f"{_escaped(chr(low))}-{_escaped(chr(high))}"


def _escaped(character: str) -> str:
    if character in _PLAIN:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - as long as \u can be
