"""The part of a first token that is spent on the way: round trips, with those that a large body needs.

A connection begins with a window of ten segments (RFC 6928) and doubles it every round trip (slow start,
RFC 5681): a body above 14,600 bytes waits for k further round trips, with k the least for which the sum of
14,600 * 2^i (i from 0 to k) holds it. A new TLS 1.3 connection costs two round trips before the request
(RFC 9293, RFC 8446).
"""

from __future__ import annotations

INITIAL_WINDOW_BYTES = 10 * 1460
_CONNECT_ROUND_TRIPS = 2


def upload_rounds(body_bytes: int) -> int:
    """Round trips that a body of this size needs beyond the first one."""
    rounds, window, sent = 0, INITIAL_WINDOW_BYTES, INITIAL_WINDOW_BYTES
    while sent < body_bytes:
        rounds, window = rounds + 1, window * 2
        sent += window
    return rounds


def relayed_ms(mesh_rtt_ms: float) -> float:
    """From an entry to a site and back, over a connection that is kept open and wide."""
    return mesh_rtt_ms


def direct_ms(rtt_ms: float, *, body_bytes: int, warm: bool) -> float:
    """From a user to a site and back; `warm` if a connection is open already."""
    rounds = 1 + upload_rounds(body_bytes) + (0 if warm else _CONNECT_ROUND_TRIPS)
    return rtt_ms * rounds
