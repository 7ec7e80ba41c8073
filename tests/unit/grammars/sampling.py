"""Random texts of a grammar, as a model that knows nothing would write them."""

from __future__ import annotations

import random

from nearstream.grammars.expressions import Alt, Chars, Expr, Ref, Repeat, Seq, Text
from nearstream.grammars.rules import ROOT, Rules

_DEEP = 60


class Sampler:
    """Writes texts of `rules`; once deep or long, by the shortest way to an end."""

    def __init__(self, rules: Rules, rng: random.Random, *, longest: int = 400) -> None:
        self._rules = rules
        self._rng = rng
        self._longest = longest
        self._heights: dict[str, float] = {}
        self._written: list[str] = []
        self._settle()

    def text(self) -> str:
        self._written = []
        self._write(Ref(ROOT), 0)
        return "".join(self._written)

    def _settle(self) -> None:
        todo = [ROOT]
        bodies: dict[str, Expr] = {}
        while todo:
            name = todo.pop()
            if name not in bodies:
                bodies[name] = self._rules[name]
                todo += _names(bodies[name])
        self._heights = dict.fromkeys(bodies, float("inf"))
        changed = True
        while changed:
            changed = False
            for name, body in bodies.items():
                height = self._height(body) + 1
                if height < self._heights[name]:
                    self._heights[name], changed = height, True

    def _height(self, body: Expr) -> float:
        if isinstance(body, Ref):
            return self._heights[body.name]
        if isinstance(body, Repeat):
            return self._height(body.item) if body.least else 0
        if isinstance(body, Seq):
            return max(map(self._height, body.items), default=0)
        if isinstance(body, Alt):
            return min(map(self._height, body.items), default=float("inf"))
        return 0

    def _write(self, body: Expr, depth: int) -> None:
        hurried = depth > _DEEP or len(self._written) > self._longest
        if isinstance(body, Ref):
            self._write(self._rules[body.name], depth + 1)
        elif isinstance(body, Text):
            self._written.append(body.text)
        elif isinstance(body, Chars):
            self._written.append(self._character(body))
        elif isinstance(body, Seq):
            for item in body.items:
                self._write(item, depth)
        elif isinstance(body, Alt):
            self._write(min(body.items, key=self._height) if hurried else self._rng.choice(body.items), depth)
        else:
            most = body.least + 4 if body.most is None else body.most
            times = (
                body.least
                if hurried
                else self._rng.choice((body.least, self._rng.randint(body.least, most), most))
            )
            for _ in range(min(times, body.least + 60)):
                self._write(body.item, depth)

    def _character(self, body: Chars) -> str:
        low, high = self._rng.choice(body.spans)
        code = self._rng.choice(
            (low, high, self._rng.randint(low, high), self._rng.randint(low, min(high, low + 90)))
        )
        return chr(code)


def _names(body: Expr) -> list[str]:
    if isinstance(body, Ref):
        return [body.name]
    if isinstance(body, Repeat):
        return _names(body.item)
    if isinstance(body, Seq | Alt):
        return [name for item in body.items for name in _names(item)]
    return []
