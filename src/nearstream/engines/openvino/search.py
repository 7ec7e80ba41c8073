"""The search for the tokens that a request with `typical_p` may choose from, one token after another.

A penalised request is drawn for twice: once for the log-probability that the model gives a token, which the
client gets, and once for what the penalty leaves of that, by which the token is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nearstream.engines.openvino.frames import Options
from nearstream.engines.openvino.typical import SEARCH_TEMPERATURE, penalised, wider


@dataclass(frozen=True, slots=True)
class Draw:
    """What runs of one kind have found: those with log-probabilities, or those without."""

    logprobs: bool
    found: dict[int, float] = field(default_factory=dict)

    def take(self, drawn: Iterable[tuple[int, float]]) -> bool:
        """Add tokens and their log-probabilities; whether one is new."""
        known, scale = len(self.found), 1.0 if self.logprobs else SEARCH_TEMPERATURE
        self.found.update((token, value * scale) for token, value in drawn)
        return len(self.found) > known


class Search:
    """The candidates for a request's next token."""

    __slots__ = ("_cached", "_draws", "_options", "width")

    def __init__(self, options: Options) -> None:
        self._options = options
        self._cached = False
        self._draws: tuple[Draw, ...] = ()
        self.width: int | None = None
        """How many to find; None after a search that was as wide as can be and did not do."""
        self.begin()

    def begin(self, *, after: int = 0) -> None:
        """Look for the next token, or for more candidates after `after` of them did not do."""
        self.width = wider(self._options, after)
        self._draws = (Draw(True), Draw(False)) if penalised(self._options) else (Draw(True),)

    def unfinished(self, vocabulary: int) -> Sequence[Draw]:
        """What is yet to be drawn. Only once the prompt is in the cache is it worth running twice."""
        wanted = min(self.width or 0, vocabulary)
        short = [draw for draw in self._draws if len(draw.found) < wanted]
        return short if self._cached else short[:1]

    def read(self, drawn: Iterable[tuple[Draw, Iterable[tuple[int, float]]]]) -> bool:
        """Take what runs have drawn; whether anything is new."""
        self._cached = True
        return sum(draw.take(tokens) for draw, tokens in drawn) > 0

    @property
    def candidates(self) -> Mapping[int, float]:
        """Those found, with the logarithms of their shares, or of what is in proportion to these."""
        return self._draws[-1].found

    def logprob(self, token: int) -> float:
        """What the model itself thinks of a candidate; two that tie for the last place may count for one."""
        own = self._draws[0].found
        return own[token] if token in own else min(own.values())
