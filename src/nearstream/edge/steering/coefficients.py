"""How long a site's replica takes to its first token, and how a site learns that from its own answers.

The model is linear in what a replica has to do when a request arrives (tokens not in its prefix cache,
streams that run, requests over its slots):

    first token = a + b * tokens + c * running + d * over

The four numbers are learned by least squares with exponential forgetting, kept as the normal equations
(Haykin, Adaptive Filter Theory, chapter "Recursive least squares"; here in information form, with a small
pull towards the start values so that a feature that never occurs keeps its start value). Learned numbers
need no table of hardware: they see the GPU, the model and the load there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

FORGETTING = 0.997
LEAST_SAMPLES = 20
FLOOR_MS = 1.0
_PULL = 1e-6
_TERMS = 4


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Milliseconds: at rest, per token to read, per running stream, per request over the slots; the last
    three are never negative.
    """

    rest_ms: float
    token_ms: float
    running_ms: float = 0.0
    over_ms: float = 0.0

    @classmethod
    def from_warm_up(cls, short: tuple[int, float], long: tuple[int, float]) -> Coefficients:
        """The line through two warm-up prompts on an idle replica, each (tokens, milliseconds to the first
        token).
        """
        (few, few_ms), (many, many_ms) = short, long
        if few >= many:
            raise ValueError(
                f"two warm-up prompts are needed, the shorter first; these have {few} and {many} tokens"
            )
        token_ms = max((many_ms - few_ms) / (many - few), 0.0)
        return cls(max(few_ms - token_ms * few, 0.0), token_ms)


@dataclass(frozen=True, slots=True)
class Work:
    """What stands before a first token when a request arrives at a replica, its own prompt included."""

    tokens: float
    running: float
    over: float


def service_ms(coefficients: Coefficients, work: Work) -> float:
    """From a request's arrival at the replica to its first token; never below a floor."""
    return max(
        coefficients.rest_ms
        + coefficients.token_ms * work.tokens
        + coefficients.running_ms * work.running
        + coefficients.over_ms * work.over,
        FLOOR_MS,
    )


def over_slots(running: float, waiting: float, slots: int) -> float:
    """By how many requests a replica is over its slots once one more has come."""
    return max(running + waiting + 1 - slots, 0.0)


@dataclass(slots=True)
class Regression:
    """Learns one site's coefficients for one endpoint from its answers."""

    start: Coefficients
    samples: int = 0
    _squares: list[list[float]] = field(default_factory=lambda: [[0.0] * _TERMS for _ in range(_TERMS)])
    _products: list[float] = field(default_factory=lambda: [0.0] * _TERMS)

    def observe(self, work: Work, actual_ms: float) -> None:
        """One answer: what stood before its first token, and how long that took at the site."""
        features = (1.0, work.tokens, work.running, work.over)
        start = _values(self.start)
        for row, squares in enumerate(self._squares):
            for column in range(_TERMS):
                squares[column] = squares[column] * FORGETTING + features[row] * features[column]
            squares[row] += _PULL
            self._products[row] = (
                self._products[row] * FORGETTING + features[row] * actual_ms + _PULL * start[row]
            )
        self.samples += 1

    def coefficients(self) -> Coefficients:
        """The best fit whose last three numbers are not negative; the start values until there are enough
        answers.
        """
        if self.samples < LEAST_SAMPLES:
            return self.start
        kept = list(range(_TERMS))
        while True:
            values = dict(zip(kept, self._solve(kept), strict=True))
            negative = [term for term in kept[1:] if values[term] < 0]
            if not negative:
                return Coefficients(*(values.get(term, 0.0) for term in range(_TERMS)))
            kept.remove(min(negative, key=lambda term: values[term]))

    def _solve(self, kept: Sequence[int]) -> list[float]:
        rows = [[self._squares[row][column] for column in kept] + [self._products[row]] for row in kept]
        return _eliminated(rows)


def _values(coefficients: Coefficients) -> tuple[float, ...]:
    return (
        coefficients.rest_ms,
        coefficients.token_ms,
        coefficients.running_ms,
        coefficients.over_ms,
    )


def _eliminated(rows: list[list[float]]) -> list[float]:
    """The solution of a symmetric positive definite system, right side in each row's last place (Gauss and
    Jordan).
    """
    for pivot in range(len(rows)):
        lead = rows[pivot] = [value / rows[pivot][pivot] for value in rows[pivot]]
        for other, values in enumerate(rows):
            factor = values[pivot]
            if other != pivot and factor:
                rows[other] = [value - factor * above for value, above in zip(values, lead, strict=True)]
    return [row[-1] for row in rows]
