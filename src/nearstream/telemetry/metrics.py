"""Counters, gauges and histograms, and Prometheus' text format (version 0.0.4) of them.

The names are given out as they are: Prometheus' own client library would append `_total` to counters, which
breaks the dashboards that TGI's users have. One event loop counts, so nothing locks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Protocol

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(Protocol):
    """A name with its samples, as lines of the text format."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def meaning(self) -> str: ...

    def lines(self) -> Iterable[str]: ...


class Counts(Protocol):
    """Something to count in."""

    def increment(self, value: str = "") -> None: ...


class Observes(Protocol):
    """Something to measure in."""

    def observe(self, value: float, times: int = 1) -> None: ...


class CallMetrics(Protocol):
    """What a model server counts of its calls, whatever names it shows them under. Durations in seconds.

    `failure` counts by cause. Of a call that asks for several answers, each one is timed.
    """

    @property
    def count(self) -> Counts: ...
    @property
    def success(self) -> Counts: ...
    @property
    def failure(self) -> Counts: ...
    @property
    def duration(self) -> Observes: ...
    @property
    def validation(self) -> Observes: ...
    @property
    def queue(self) -> Observes: ...
    @property
    def inference(self) -> Observes: ...
    @property
    def mean_time_per_token(self) -> Observes: ...
    @property
    def first_token(self) -> Observes: ...
    @property
    def inter_token(self) -> Observes: ...
    @property
    def input_length(self) -> Observes: ...
    @property
    def generated_tokens(self) -> Observes: ...
    @property
    def max_new_tokens(self) -> Observes: ...

    def all(self) -> Sequence[Metric]:
        """In the order in which they are shown."""
        ...


class Counter:
    """Counts up; with a `label`, once for each of its values. `values` are there from the start, at 0."""

    kind = "counter"

    def __init__(self, name: str, meaning: str, *, label: str = "", values: Sequence[str] = ("",)) -> None:
        self.name = name
        self.meaning = meaning
        self._label = label
        self._counts = dict.fromkeys(values, 0)

    def increment(self, value: str = "") -> None:
        """One more, under this value of the label."""
        self._counts[value] = self._counts.get(value, 0) + 1

    def lines(self) -> Iterable[str]:
        for value, count in self._counts.items():
            label = f'{{{self._label}="{value}"}}' if self._label else ""
            yield f"{self.name}{label} {count}"


class Gauge:
    """A number that is read when the metrics are."""

    kind = "gauge"

    def __init__(self, name: str, meaning: str, *, read: Callable[[], float]) -> None:
        self.name = name
        self.meaning = meaning
        self._read = read

    def lines(self) -> Iterable[str]:
        yield f"{self.name} {self._read():g}"


class Histogram:
    """How often values fell up to each of `bounds`, which ascend."""

    kind = "histogram"

    def __init__(
        self, name: str, meaning: str, *, bounds: Sequence[float], scale: float = 1.0, labels: str = ""
    ) -> None:
        """`scale` turns what is observed into the unit that is shown, which is that of `bounds`.

        `labels` are those of every sample, as the text format has them.
        """
        self.name = name
        self.meaning = meaning
        self._scale = scale
        self._labels = labels
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """`value`, seen `times` over."""
        value *= self._scale
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def lines(self) -> Iterable[str]:
        edges = [*(f"{bound:.12g}" for bound in self._bounds), "+Inf"]
        count, first = 0, f"{self._labels}," if self._labels else ""
        alone = f"{{{self._labels}}}" if self._labels else ""
        for edge, count in zip(edges, accumulate(self._counts), strict=True):
            yield f'{self.name}_bucket{{{first}le="{edge}"}} {count}'
        yield f"{self.name}_sum{alone} {self._sum:.12g}"
        yield f"{self.name}_count{alone} {count}"


def exposition(metrics: Iterable[Metric]) -> bytes:
    """The body of /metrics."""
    parts = []
    for metric in metrics:
        parts += [f"# HELP {metric.name} {metric.meaning}", f"# TYPE {metric.name} {metric.kind}"]
        parts += [*metric.lines(), ""]
    return "\n".join([*parts, ""]).encode()
