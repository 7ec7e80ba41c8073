"""Which variant and which replica takes a request: pure functions of what is in flight and of the session."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearstream.core.endpoints import ProductionVariant
from nearstream.core.replicas import Replica


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ready replica and how many requests it works on."""

    replica: Replica
    in_flight: int


RoutingPolicy = Callable[[Sequence[Candidate], str | None], Replica]
"""Chooses one of at least one candidate; the session, if any, is the same for calls that belong together."""


def least_busy(candidates: Sequence[Candidate], session: str | None) -> Replica:
    """The replica with the least in flight; a session always gets the same one while that is a candidate.

    Sessions are spread by rendezvous hashing: a replica that goes moves only its own sessions.
    """
    if session is not None:
        return max(candidates, key=lambda one: _draw(session, one.replica.id)).replica
    return min(candidates, key=lambda one: (one.in_flight, one.replica.started_at, one.replica.id)).replica


def by_weight(
    variants: Sequence[ProductionVariant], session: str | None, random: Callable[[], float]
) -> ProductionVariant | None:
    """A variant, each as often as its share of the weights; one session always the same.

    None when no variant has a weight. `random` draws from [0, 1).
    """
    # The shortest of exponential waiting times falls on each variant in proportion to its rate.
    waits = [
        (
            -math.log(1.0 - (random() if session is None else _draw(session, variant.name))) / variant.weight,
            place,
        )
        for place, variant in enumerate(variants)
        if variant.weight > 0
    ]
    return variants[min(waits)[1]] if waits else None


def _draw(session: str, name: str) -> float:
    """A number from [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.blake2b(f"{session}\0{name}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2.0**53
