"""The metrics of a server with DJL Serving's API, under its names and in its units.

DJL writes most of them into its log alone; here /metrics has them all. Its own are RequestLatency, QueueTime,
Prediction, TokenLatency, TokenThroughput, OutputTokens and Response_2XX, _4XX and _5XX.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nearstream.telemetry.metrics import Counter, Histogram, Metric

# From 0.1 ms, each half as much again as the one before, to 146 s.
DURATION_BOUNDS_MS = tuple(0.1 * 1.5**power for power in range(1, 36))
POWERS = tuple(2.0**power for power in range(16))
MS_PER_S = 1000.0
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


class DjlMetrics:
    """One set for one server. Durations come in seconds and are shown in milliseconds."""

    def __init__(self) -> None:
        self.duration = _duration("RequestLatency", "From arrival to the last byte of the answer")
        self.queue = _duration("QueueTime", "In line, before a place in the batch or a free worker")
        self.inference = _duration("Prediction", "From the end of the wait to the end of the answer")
        self.first_token = _duration("TimeToFirstToken", "From arrival to the first token")
        self.inter_token = _duration("TokenLatency", "Between one token of an answer and the next")
        self.mean_time_per_token = Throughput("TokenThroughput", "Tokens a second of one answer")
        self.generated_tokens = Histogram("OutputTokens", "Tokens of the answer", bounds=POWERS)
        self.input_length = Histogram("InputTokens", "Tokens of the prompt", bounds=POWERS)
        self.max_new_tokens = Histogram("MaxNewTokens", "Tokens that were asked for", bounds=POWERS)
        self.validation = _duration("PreprocessTime", "From arrival to the queue")
        self.count = Counter("RequestCount", "Calls that came in")
        self.success = Counter("RequestSuccess", "Calls that were answered in full")
        self.failure = Counter(
            "RequestFailure", "Calls that were not, by cause", label="cause", values=("overloaded", "dropped")
        )
        self.responses_2xx = Counter("Response_2XX", "Answers with a status below 400")
        self.responses_4xx = Counter("Response_4XX", "Answers with a status from 400 to 499")
        self.responses_5xx = Counter("Response_5XX", "Answers with a status from 500")

    def answered(self, status: int) -> None:
        """Count a response by its status."""
        if status >= _SERVER_ERROR:
            self.responses_5xx.increment()
        elif status >= _CLIENT_ERROR:
            self.responses_4xx.increment()
        else:
            self.responses_2xx.increment()

    def all(self) -> Sequence[Metric]:
        """In the order in which they are shown."""
        return tuple(vars(self).values())


class Throughput:
    """A histogram of rates, 1/s; it observes the seconds of one."""

    kind = "histogram"

    def __init__(self, name: str, meaning: str) -> None:
        self.name = name
        self.meaning = meaning
        self._rates = Histogram(name, meaning, bounds=POWERS)

    def observe(self, value: float, times: int = 1) -> None:
        if value > 0:
            self._rates.observe(1 / value, times)

    def lines(self) -> Iterable[str]:
        return self._rates.lines()


def _duration(name: str, meaning: str) -> Histogram:
    return Histogram(name, f"{meaning}, milliseconds", bounds=DURATION_BOUNDS_MS, scale=MS_PER_S)
