"""Stop strings over streamed text, wherever the tokens happen to cut it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop string was completed. `overrun`: how many characters of the last push lie behind it."""

    text: str
    overrun: int


class StopStrings:
    """Watches one answer for its stop strings; of several, the one that is complete first counts."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._reach = max((len(stop) for stop in self._stops), default=1) - 1
        self._tail = ""

    def push(self, text: str) -> Stop | None:
        """Read on. After a stop there is nothing more to read."""
        if not self._stops or not text:
            return None
        seen = self._tail + text
        found = [(at + len(stop), stop) for stop in self._stops if (at := seen.find(stop)) >= 0]
        if found:
            end, stop = min(found, key=lambda hit: hit[0])
            return Stop(stop, len(seen) - end)
        self._tail = seen[-self._reach :] if self._reach else ""
        return None
