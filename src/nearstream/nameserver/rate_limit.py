"""Response-rate limiting over UDP, so that a server cannot be made to flood somebody whose address was
forged.

Follows the scheme of BIND's RRL (Vixie and Schryver, "DNS Response Rate Limiting"): a token bucket for each
network and answer; errors and names that do not exist share one bucket a network. Over the limit every
second response is a truncated one, with which a real client asks again over TCP, and the others are
dropped. Time comes in as an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum

A_SECOND = 20.0
NETWORK_BITS = {4: 24, 6: 56}
"""A client's neighbours, who share its bucket, by IP version."""
MOST_BUCKETS = 100_000


class Verdict(Enum):
    """What becomes of a response."""

    SEND = "send"
    TRUNCATE = "truncate"
    DROP = "drop"


@dataclass(slots=True)
class RateLimit:
    """A bucket for each network and answer; the least recently used ones are forgotten beyond a bound."""

    a_second: float = A_SECOND
    most_buckets: int = MOST_BUCKETS
    _buckets: OrderedDict[Hashable, tuple[float, float, int]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._buckets)

    def judge(self, network: Hashable, answer: Hashable, *, now_s: float) -> Verdict:
        """`answer` tells answers apart; all errors have the same one."""
        key = (network, answer)
        tokens, at_s, over = self._buckets.pop(key, (self.a_second, now_s, 0))
        tokens = min(tokens + max(now_s - at_s, 0.0) * self.a_second, self.a_second)
        if tokens >= 1:
            self._buckets[key] = (tokens - 1, now_s, 0)
            verdict = Verdict.SEND
        else:
            self._buckets[key] = (tokens, now_s, over + 1)
            verdict = Verdict.DROP if over % 2 else Verdict.TRUNCATE
        if len(self._buckets) > self.most_buckets:
            self._buckets.popitem(last=False)
        return verdict
