"""What a prompt costs the streams that are already running where it is read: the part of a score that is no
prediction.

    price = 0.7 * b * uncached * min(1, 2 * running / slots)

A greedy choice sees its own first token alone. Reading a prompt holds up every stream of the replica, so a
busy replica asks more for the same tokens (a toll for congestion, as of Pigou). Found by simulation; a
constant price and a penalty on occupancy did not help.
"""

from __future__ import annotations

SHARE = 0.7


def price_ms(token_ms: float, uncached: float, *, running: float, slots: int) -> float:
    """Milliseconds to add to the score of a replica with so many running streams."""
    busy = min(1.0, 2.0 * running / slots) if slots > 0 else 1.0
    return SHARE * token_ms * uncached * busy
