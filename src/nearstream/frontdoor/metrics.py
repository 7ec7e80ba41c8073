"""What the front door counts and times, by endpoint and variant, as Prometheus reads it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from nearstream.core.errors import (
    Conflict,
    Invalid,
    Missing,
    NearstreamError,
    Overloaded,
    ServiceError,
)
from nearstream.telemetry.metrics import Histogram, Metric, exposition

LATENCY_BOUNDS_S: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
MOST_SERIES: Final = 1000
"""Pairs of endpoint and variant; further ones are counted together, without names."""

_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500
_SERVERS_FAULT: Final = frozenset({"ModelError", "ServiceUnavailable", "InternalFailure"})
_CLIENTS_FAULT: Final = (Invalid, Missing, Conflict, Overloaded)
_HISTOGRAMS: Final = {
    "nearstream_model_latency_seconds": "From sending a call to a replica to the last byte of its answer",
    "nearstream_overhead_latency_seconds": "What the front door added, the wait for a replica included",
    "nearstream_first_byte_seconds": "From a call's arrival to its answer's first byte; TTFT of a stream",
    "nearstream_replica_wait_seconds": "How long a call waited for a replica to become ready",
}
_COUNTERS: Final = {
    "nearstream_invocations_total": "Calls of an endpoint",
    "nearstream_invocation_4xx_total": "Calls refused, or answered by the model with a 4xx status",
    "nearstream_invocation_5xx_total": "Calls that failed, or were answered by the model with a 5xx status",
    "nearstream_response_bytes_total": "Bytes that replicas answered with, HTTP framing included",
}
_STREAMS_OPEN: Final = "nearstream_streams_open"


class Series:
    """The figures of one variant of one endpoint."""

    def __init__(self, endpoint: str, variant: str) -> None:
        self.labels = f'endpoint="{endpoint}",variant="{variant}"'
        self.counts = dict.fromkeys(_COUNTERS, 0)
        self.histograms = {
            name: Histogram(name, meaning, bounds=LATENCY_BOUNDS_S, labels=self.labels)
            for name, meaning in _HISTOGRAMS.items()
        }
        self.streams_open = 0


class FrontDoorMetrics:
    """Counts every invocation once, at its end. One event loop counts, so nothing locks."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` is monotonic, in seconds."""
        self.clock = clock
        self._series: dict[tuple[str, str], Series] = {}

    def call(self, endpoint: str, *, arrived_at: float | None = None) -> InvocationTimer:
        """A timer for one invocation of an endpoint that is there; enter it until the call is answered."""
        return InvocationTimer(self, endpoint, self.clock() if arrived_at is None else arrived_at)

    def series(self, endpoint: str, variant: str) -> Series:
        """The figures to add to."""
        key = (endpoint, variant)
        if key not in self._series and len(self._series) >= MOST_SERIES:
            key = ("", "")
        if key not in self._series:
            self._series[key] = Series(*key)
        return self._series[key]

    def exposition(self) -> bytes:
        """The body of GET /metrics."""
        all_series = self._series.values()
        families: list[Metric] = [
            _Family(name, "counter", meaning, {one.labels: one.counts[name] for one in all_series})
            for name, meaning in _COUNTERS.items()
        ]
        streams = {one.labels: one.streams_open for one in all_series}
        families.append(_Family(_STREAMS_OPEN, "gauge", "Streams that are being answered now", streams))
        families += [
            _Histograms(name, meaning, [one.histograms[name] for one in all_series])
            for name, meaning in _HISTOGRAMS.items()
        ]
        return exposition(families)


class InvocationTimer:
    """Follows one invocation to its end, which is when its figures are added."""

    def __init__(self, metrics: FrontDoorMetrics, endpoint: str, arrived_at: float) -> None:
        self._metrics = metrics
        self._endpoint = endpoint
        self._variant = ""
        self._arrived_at = arrived_at
        self._sent_at: float | None = None
        self._first_at: float | None = None
        self._waited_s = 0.0
        self._answered_bytes = 0
        self._failed: int | None = None
        self._streaming: Series | None = None

    def __enter__(self) -> Self:
        return self

    def leased(self, variant: str, *, asked_at: float) -> None:
        """A replica was found, which the call is sent to now."""
        self._variant = variant
        self._sent_at = self._metrics.clock()
        self._waited_s += self._sent_at - asked_at

    def streams(self) -> None:
        """The answer is a stream, which is open from now on."""
        self._streaming = self._metrics.series(self._endpoint, self._variant)
        self._streaming.streams_open += 1

    def first_byte(self) -> None:
        """The answer's first byte came; further calls change nothing."""
        if self._first_at is None:
            self._first_at = self._metrics.clock()

    def answered(self, size_bytes: int) -> None:
        """The replica's answer has come, so many bytes."""
        self._answered_bytes = size_bytes

    def failed(self, status: int) -> None:
        """The model answered with an error status, or its stream broke."""
        self._failed = status

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        now = self._metrics.clock()
        series = self._metrics.series(self._endpoint, self._variant)
        series.counts["nearstream_invocations_total"] += 1
        series.counts["nearstream_response_bytes_total"] += self._answered_bytes
        status = self._failed or _status(error)
        if status is not None:
            side = "4xx" if _CLIENT_ERROR <= status < _SERVER_ERROR else "5xx"
            series.counts[f"nearstream_invocation_{side}_total"] += 1
        if self._streaming is not None:
            self._streaming.streams_open -= 1
        if self._sent_at is not None:
            model_s = now - self._sent_at
            series.histograms["nearstream_model_latency_seconds"].observe(model_s)
            series.histograms["nearstream_overhead_latency_seconds"].observe(now - self._arrived_at - model_s)
            series.histograms["nearstream_replica_wait_seconds"].observe(self._waited_s)
        if self._first_at is not None:
            series.histograms["nearstream_first_byte_seconds"].observe(self._first_at - self._arrived_at)


class _Family:
    """One number for each series."""

    def __init__(self, name: str, kind: str, meaning: str, values: Mapping[str, int]) -> None:
        self.name = name
        self.kind = kind
        self.meaning = meaning
        self._values = values

    def lines(self) -> Iterable[str]:
        return [f"{self.name}{{{labels}}} {value}" for labels, value in self._values.items()]


class _Histograms:
    """One histogram for each series."""

    kind = "histogram"

    def __init__(self, name: str, meaning: str, histograms: Sequence[Histogram]) -> None:
        self.name = name
        self.meaning = f"{meaning}, seconds"
        self._histograms = histograms

    def lines(self) -> Iterable[str]:
        return [line for one in self._histograms for line in one.lines()]


def _status(error: BaseException | None) -> int | None:
    """The status that the error is counted under; None for a client that left, which is no failure."""
    if isinstance(error, ServiceError):
        return _SERVER_ERROR if error.code in _SERVERS_FAULT else _CLIENT_ERROR
    if isinstance(error, NearstreamError):
        return _CLIENT_ERROR if isinstance(error, _CLIENTS_FAULT) else _SERVER_ERROR
    return _SERVER_ERROR if isinstance(error, Exception) and not isinstance(error, OSError) else None
