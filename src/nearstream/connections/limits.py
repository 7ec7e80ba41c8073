"""How long and how large a connection's parts may be, and how many connections a server holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_CONNECTIONS: Final = 16_384
FEWEST_CONNECTIONS: Final = 16
RESERVED_DESCRIPTORS: Final = 96
"""Kept for what else a server opens: its database, logs, replicas, and the programs that it starts."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one server. A connection beyond `total` takes the place of one that idles, or is refused.

    `unproven` are connections on which no request was answered well yet, whoever they are from.
    `per_peer` does not hold for peers on this machine. A body must bring `body_bytes` within every
    `body_s`, or its end.
    """

    total: int = MOST_CONNECTIONS
    unproven: int = MOST_CONNECTIONS // 2
    per_peer: int = 1024
    head_s: float = 30.0
    idle_s: float = 75.0
    body_s: float = 30.0
    body_bytes: int = 8 * 1024
    stop_body_s: float = 2.0
    """How long a body may still take to come once the server stops."""
    line_bytes: int = 64 * 1024
    """Of the request line, and of each header."""
    head_bytes: int = 128 * 1024


def limits_within(descriptors: int, *, per_connection: int = 1) -> ConnectionLimits:
    """Limits that keep a process within its descriptors, where each connection takes `per_connection`."""
    room = (descriptors - RESERVED_DESCRIPTORS) // per_connection
    total = max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, room))
    return ConnectionLimits(total=total, unproven=max(FEWEST_CONNECTIONS, total // 2))
