"""How often something may happen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `most` times within any `window_s` seconds."""

    most: int
    window_s: float
