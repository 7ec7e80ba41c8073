"""Which site answers a request, and why: the one with the least score among those that are healthy.

Scores less than 2 ms apart are equal: then the site that answered the user last wins (its caches know the
conversation), then the entry (no relay), then the first by name. With equal input the answer is equal;
nothing here draws a random number, because in the simulation random choice among good sites raised the 99th
percentile (from 727 ms to 878-1290 at reports of 0.5 s).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nearstream.edge.steering.score import SiteScore, score
from nearstream.edge.steering.views import Ask, SiteView

TIE_MS = 2.0
HAND_ON_TIMES = 1.3
HAND_ON_MS = 5.0

Reason = Literal["near", "prefix", "queue", "speed", "health"]
"""Nearest; more of the prompt in its cache; less to wait for; reads faster; a better one is unhealthy."""


class NoSite(ValueError):
    """There is no site that a request could go to."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The site for a request, and all that were considered, the chosen one first, then by score."""

    chosen: SiteScore
    scores: tuple[SiteScore, ...]
    reason: Reason

    @property
    def site(self) -> str:
        """The chosen site's name."""
        return self.chosen.site

    def why(self) -> str:
        """One line for people: `lax 84 ms = net 31 + queue 12 + prefill 41; next pdx 97; prefix`."""
        one = self.chosen
        parts = f"net {one.network_ms:.0f} + queue {one.queue_ms:.0f} + prefill {one.prefill_ms:.0f}"
        following = (
            f"; next {self.scores[1].site} {self.scores[1].predicted_ms:.0f}" if self.scores[1:] else ""
        )
        return f"{one.site} {one.predicted_ms:.0f} ms = {parts}{following}; {self.reason}"


def choose(ask: Ask, views: Sequence[SiteView], *, own_sends: Mapping[str, float], now_ms: float) -> Decision:
    """The site for `ask`; `own_sends` has, by site, the tokens sent there that its view does not show yet.

    An unhealthy site is chosen only when no healthy one can be reached: then all are taken for healthy,
    since a detector that finds none is more likely wrong than right. NoSite when no site has a replica.
    """
    all_scores = _scores(ask, views, own_sends, now_ms)
    unhealthy = {view.site for view in views if not view.healthy}
    healthy = [one for one in all_scores if one.site not in unhealthy]
    usable = healthy or all_scores
    if not usable:
        raise NoSite(
            "no site has a replica of this endpoint that can be reached; see the status of each site"
        )
    chosen = _first(ask, usable)
    rest = tuple(one for one in usable if one is not chosen)
    missed = bool(healthy) and all_scores[0].site in unhealthy
    return Decision(chosen, (chosen, *rest), "health" if missed else _reason(chosen, usable))


def second_look(
    ask: Ask, views: Sequence[SiteView], *, here: str, own_sends: Mapping[str, float], now_ms: float
) -> str | None:
    """The site that a target should hand a request on to when it arrives; None to keep it.

    The target knows its own state exactly, so it finds what the entry could not see. It hands on only for a
    clear gain: the best other score times 1.3 plus 5 ms is below its own. `ask.network_ms` is seen from the
    target. A request is handed on once.
    """
    scores = _scores(ask, [view for view in views if view.healthy or view.site == here], own_sends, now_ms)
    own = next((one for one in scores if one.site == here), None)
    others = [one for one in scores if one.site != here]
    if not others:
        return None
    best = others[0]
    if own is None or best.score_ms * HAND_ON_TIMES + HAND_ON_MS < own.score_ms:
        return best.site
    return None


def _scores(
    ask: Ask, views: Iterable[SiteView], own_sends: Mapping[str, float], now_ms: float
) -> list[SiteScore]:
    """The reachable sites that have replicas, least score first."""
    found = [
        score(ask, view, own_tokens=own_sends.get(view.site, 0.0), now_ms=now_ms)
        for view in views
        if view.replicas and view.site in ask.network_ms
    ]
    return sorted(found, key=lambda one: (one.score_ms, one.site))


def _first(ask: Ask, scores: Sequence[SiteScore]) -> SiteScore:
    equal = [one for one in scores if one.score_ms - scores[0].score_ms < TIE_MS]
    return min(equal, key=lambda one: (one.site != ask.last_site, one.site != ask.entry, one.site))


def _reason(chosen: SiteScore, scores: Iterable[SiteScore]) -> Reason:
    """What the chosen site has over the nearest one."""
    nearest = min(scores, key=lambda one: (one.network_ms, one.site != chosen.site))
    if nearest is chosen:
        return "near"
    if nearest.queue_ms - chosen.queue_ms > nearest.prefill_ms - chosen.prefill_ms:
        return "queue"
    return "prefix" if chosen.uncached_tokens < nearest.uncached_tokens else "speed"
