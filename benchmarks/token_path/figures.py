"""Figures of a run of streams: TTFT, inter-token latency and tokens per second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles


@dataclass(frozen=True, slots=True)
class Trace:
    """One stream: when it was sent and when each of its tokens came, in seconds of one clock."""

    sent: float
    tokens: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a number of streams at once were like; latencies in milliseconds."""

    streams: int
    ttft_p50: float
    ttft_p99: float
    itl_p50: float
    itl_p99: float
    tokens_per_s: float


def of(traces: Sequence[Trace], *, streams: int) -> Figures:
    """Figures over all tokens of all traces; tokens per second over the wall time of the whole run."""
    firsts = [(trace.tokens[0] - trace.sent) * 1e3 for trace in traces]
    gaps = [
        (after - before) * 1e3
        for trace in traces
        for before, after in zip(trace.tokens, trace.tokens[1:], strict=False)
    ]
    wall_s = max(trace.tokens[-1] for trace in traces) - min(trace.sent for trace in traces)
    count = sum(len(trace.tokens) for trace in traces)
    ttft, itl = quantiles(firsts, n=100), quantiles(gaps, n=100)
    return Figures(streams, ttft[49], ttft[98], itl[49], itl[98], count / wall_s)
