"""The metrics of a model server: TGI's names, labels and buckets (router/src/server.rs), and what it lacked.

Beyond TGI: `tgi_request_first_token_duration` and `tgi_request_inter_token_duration`, and the causes
`aborted` and `unready` of `tgi_request_failure`.
"""

from __future__ import annotations

from collections.abc import Sequence

from nearstream.telemetry.metrics import Counter, Histogram, Metric

# From 0.15 ms, each half as much again as the one before, to 146 s.
DURATION_BOUNDS_S = tuple(0.0001 * 1.5**power for power in range(1, 36))
LENGTH_BUCKETS = 100
FAILURES = (
    "validation", "overloaded", "generation", "incomplete", "dropped", "template", "aborted", "unready",
)  # fmt: skip


class TgiMetrics:
    """One set for one server. Of a request that asks for several answers, each one is timed."""

    def __init__(self, *, max_input_tokens: int, max_total_tokens: int, prefix: str = "tgi") -> None:
        """`prefix` begins every name: a server that is not TGI's has another."""
        self.count = Counter(f"{prefix}_request_count", "Requests that came in")
        self.success = Counter(f"{prefix}_request_success", "Requests that were answered in full")
        self.failure = Counter(
            f"{prefix}_request_failure", "Requests that were not, by cause", label="err", values=FAILURES
        )
        self.duration = _duration(prefix, "", "From arrival to the last byte of the answer")
        self.validation = _duration(prefix, "validation_", "From arrival to the queue")
        self.queue = _duration(prefix, "queue_", "In the queue, before a place in the batch")
        self.inference = _duration(prefix, "inference_", "From a place in the batch to the last token")
        self.mean_time_per_token = _duration(prefix, "mean_time_per_token_", "Inference by generated token")
        self.first_token = _duration(prefix, "first_token_", "From arrival to the first token")
        self.inter_token = _duration(prefix, "inter_token_", "Between one token of an answer and the next")
        self.input_length = _length(prefix, "input_length", "Tokens of the prompt", max_input_tokens)
        self.generated_tokens = _length(prefix, "generated_tokens", "Tokens of the answer", max_total_tokens)
        self.max_new_tokens = _length(
            prefix, "max_new_tokens", "Tokens that were asked for", max_total_tokens
        )

    def all(self) -> Sequence[Metric]:
        """In the order in which they are shown."""
        return tuple(vars(self).values())


def _duration(prefix: str, what: str, meaning: str) -> Histogram:
    return Histogram(f"{prefix}_request_{what}duration", f"{meaning}, seconds", bounds=DURATION_BOUNDS_S)


def _length(prefix: str, what: str, meaning: str, longest: int) -> Histogram:
    bounds = [longest / LENGTH_BUCKETS * (step + 1) for step in range(LENGTH_BUCKETS)]
    return Histogram(f"{prefix}_request_{what}", meaning, bounds=bounds)
