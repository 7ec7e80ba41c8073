"""What a decision is made from: the request, and the last that is known of each site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nearstream.edge.steering.coefficients import Coefficients


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """A replica as its site reported it."""

    id: str
    slots: int
    running: int = 0
    waiting: int = 0
    queued_tokens: float = 0.0
    """Tokens of its requests that still have to be read."""
    cache_horizon_ms: float = float("inf")
    """A prefix that was not used for so long has left its cache."""


@dataclass(frozen=True, slots=True)
class SiteView:
    """A site's last report on one endpoint."""

    site: str
    taken_at_ms: float
    coefficients: Coefficients
    replicas: tuple[ReplicaView, ...]
    healthy: bool = True
    correction: float = 1.0
    """Mean of actual over predicted, see `steering.correction`."""


@dataclass(frozen=True, slots=True)
class CachedPrefix:
    """The first tokens of a prompt that a replica read, and when it last did."""

    tokens: float
    at_ms: float


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that needs a site."""

    tokens: float
    network_ms: Mapping[str, float]
    """By site: what the way costs, see `steering.network`. A site that is missing here cannot be reached."""
    cached: Mapping[str, Mapping[str, tuple[CachedPrefix, ...]]] = field(default_factory=dict)
    """By site and replica: prefixes of this prompt that it read, longest first."""
    shared_tokens: float = 0.0
    """The system prompt's tokens, which every replica is taken to hold."""
    entry: str | None = None
    """The site that the user is connected to; None when a client decides."""
    last_site: str | None = None
    """The site that answered this user last."""
