"""How far a site is off its own prediction at this moment: a fast factor beside coefficients that learn
slowly.

An exponentially weighted mean (0.08) of actual / predicted, each ratio clipped to 0.4-6. Inside 0.8-1.25
the factor is 1: there it would only add noise. In the simulation this takes the 99th percentile of a
fourfold slow-down of the strongest site from 1126 to 783 ms.
"""

from __future__ import annotations

WEIGHT = 0.08
LEAST, MOST = 0.4, 6.0
QUIET = (0.8, 1.25)
_LEAST_PREDICTED_MS = 5.0


def corrected(mean: float, *, actual_ms: float, predicted_ms: float) -> float:
    """The mean ratio after one more answer; it begins at 1."""
    ratio = actual_ms / max(predicted_ms, _LEAST_PREDICTED_MS)
    return mean + WEIGHT * (min(max(ratio, LEAST), MOST) - mean)


def factor(mean: float) -> float:
    """What predictions are multiplied by: 1 while the site is about as fast as predicted."""
    low, high = QUIET
    return 1.0 if low <= mean <= high else min(max(mean, LEAST), MOST)
