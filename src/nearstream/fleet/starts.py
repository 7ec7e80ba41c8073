"""How many replicas of a variant may be started within a minute, whatever the reason to start them."""

from __future__ import annotations

from collections import deque
from typing import Final

from nearstream.core.replicas import ReplicaSpec

PERIOD_S: Final = 60.0
STARTS: Final = 12
STARTS_PER_INSTANCE: Final = 4


class StartBudget:
    """Starts of each spec within the last `period_s`, by a monotonic clock.

    The back-off of `reconcile` slows a crash loop down; this holds too where replicas seem to vanish.
    """

    def __init__(self, *, period_s: float = PERIOD_S, starts: int = STARTS) -> None:
        self._period_s = period_s
        self._starts = starts
        self._started: dict[ReplicaSpec, deque[float]] = {}

    def take(self, spec: ReplicaSpec, *, instances: int, now: float) -> bool:
        """Whether one more may be started now; it counts as started then."""
        self._forget(now)
        started = self._started.get(spec, deque())
        if len(started) >= max(self._starts, STARTS_PER_INSTANCE * instances):
            return False
        started.append(now)
        self._started[spec] = started
        return True

    def _forget(self, now: float) -> None:
        for spec, started in list(self._started.items()):
            while started and now - started[0] >= self._period_s:
                started.popleft()
            if not started:
                del self._started[spec]
