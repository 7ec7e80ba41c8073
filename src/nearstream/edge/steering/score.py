"""A site's score for a request: the predicted time to first token there, plus the price of the work.

    score = network + min over replicas (first token * correction + price)
    first token = a + b * (queued + own sends + uncached) + c * running + d * over

Own sends are tokens that this decider has sent and the site's report does not show yet; they are spread
over its replicas.
"""

from __future__ import annotations

from dataclasses import dataclass

from nearstream.edge.steering.coefficients import FLOOR_MS, over_slots
from nearstream.edge.steering.correction import factor
from nearstream.edge.steering.price import price_ms
from nearstream.edge.steering.views import Ask, CachedPrefix, ReplicaView, SiteView

LEAST_UNCACHED = 16.0
"""Tokens that every request reads: engines keep whole blocks, and the last token is always computed."""


@dataclass(frozen=True, slots=True)
class SiteScore:
    """One site for one request, in parts that add up; `replica` is the one that the score is of."""

    site: str
    replica: str
    network_ms: float
    queue_ms: float
    prefill_ms: float
    price_ms: float
    uncached_tokens: float

    @property
    def predicted_ms(self) -> float:
        """Until the first token."""
        return self.network_ms + self.queue_ms + self.prefill_ms

    @property
    def score_ms(self) -> float:
        """What sites are compared by."""
        return self.predicted_ms + self.price_ms


def score(ask: Ask, view: SiteView, *, own_tokens: float, now_ms: float) -> SiteScore:
    """The score of the site's best replica; the site has at least one, and the request can reach it."""
    extra = own_tokens / len(view.replicas)
    coefficients, times = view.coefficients, factor(view.correction)
    network_ms, cached = ask.network_ms[view.site], ask.cached.get(view.site, {})
    best: tuple[float, str, float, float, float, float] | None = None
    for replica in view.replicas:
        uncached = uncached_tokens(ask, replica, cached.get(replica.id, ()), now_ms=now_ms)
        queue_ms = times * (
            coefficients.token_ms * (replica.queued_tokens + extra)
            + coefficients.running_ms * replica.running
            + coefficients.over_ms * over_slots(replica.running, replica.waiting, replica.slots)
        )
        prefill_ms = times * (coefficients.rest_ms + coefficients.token_ms * uncached)
        # A fit may start below zero; no first token comes before the floor.
        prefill_ms = max(prefill_ms, FLOOR_MS - queue_ms)
        price = price_ms(coefficients.token_ms, uncached, running=replica.running, slots=replica.slots)
        found = (queue_ms + prefill_ms + price, replica.id, queue_ms, prefill_ms, price, uncached)
        if best is None or found < best:
            best = found
    if best is None:
        raise ValueError(f"site {view.site} reports no replica, so it has no score")
    _, replica_id, queue_ms, prefill_ms, price, uncached = best
    return SiteScore(view.site, replica_id, network_ms, queue_ms, prefill_ms, price, uncached)


def uncached_tokens(
    ask: Ask, replica: ReplicaView, cached: tuple[CachedPrefix, ...], *, now_ms: float
) -> float:
    """Tokens of the prompt that this replica has to read; prefixes that have left its cache do not count."""
    held = ask.shared_tokens
    for prefix in cached:
        if now_ms - prefix.at_ms < replica.cache_horizon_ms:
            held = max(held, prefix.tokens)
            break
    return max(ask.tokens - held, min(LEAST_UNCACHED, ask.tokens))
