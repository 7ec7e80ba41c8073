"""Record sets and the policies by which one of several is chosen for a query, with the fields that Route 53
gives them.

Source: the Route 53 API reference, ResourceRecordSet, and its developer guide, "Choosing a routing policy".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from nearstream.edge.zones.names import Name
from nearstream.edge.zones.places import Place

MOST_BIAS = 99
MOST_WEIGHT = 255
LONGEST_BLOCK = {4: 24, 6: 48}

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Simple:
    """The only one of its name and type."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """As often as its share of the weights."""

    weight: int

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= MOST_WEIGHT:
            raise ValueError(f"a weight is 0 to {MOST_WEIGHT}, not {self.weight}")


@dataclass(frozen=True, slots=True)
class Latency:
    """For clients with the least round trip to this AWS region."""

    region: str


@dataclass(frozen=True, slots=True)
class Geolocation:
    """For clients in an area; none of the three means everywhere else (`*`)."""

    continent: str | None = None
    country: str | None = None
    subdivision: str | None = None

    def __post_init__(self) -> None:
        if self.subdivision and self.country != "US":
            raise ValueError("a subdivision is a state of the country US")
        if self.continent and self.country:
            raise ValueError("an area is a continent or a country, not both")


@dataclass(frozen=True, slots=True)
class Geoproximity:
    """For clients that are near this place; a bias draws more of them (above 0) or fewer (below)."""

    place: Place
    bias: int = 0

    def __post_init__(self) -> None:
        if not -MOST_BIAS <= self.bias <= MOST_BIAS:
            raise ValueError(f"a bias is -{MOST_BIAS} to {MOST_BIAS}, not {self.bias}")

    def biased_km(self, km: float) -> float:
        """The distance that is compared: d * (1 - b / 100), for a bias below zero d / (1 + b / 100)."""
        share = self.bias / 100
        return km * (1 - share) if self.bias > 0 else km / (1 + share)


@dataclass(frozen=True, slots=True)
class Failover:
    """The primary one, or the one that takes its place."""

    role: Literal["PRIMARY", "SECONDARY"]


@dataclass(frozen=True, slots=True)
class Multivalue:
    """One of up to eight that are given together."""


@dataclass(frozen=True, slots=True)
class CidrRouting:
    """For clients in these blocks of addresses; no blocks means the default location (`*`)."""

    location: str
    blocks: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        for block in self.blocks:
            if not 1 <= block.prefixlen <= LONGEST_BLOCK[block.version]:
                most = LONGEST_BLOCK[block.version]
                raise ValueError(f"an IPv{block.version} block is /1 to /{most}, not {block}")


@dataclass(frozen=True, slots=True)
class FirstToken:
    """An entry to a fleet: for clients that get their first token soonest by way of this site. Not one of
    Route 53's.
    """

    site: str


Policy = (
    Simple
    | Weighted
    | Latency
    | Geolocation
    | Geoproximity
    | Failover
    | Multivalue
    | CidrRouting
    | FirstToken
)


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of the zone whose records are given instead."""

    target: Name
    evaluate_health: bool = False


@dataclass(frozen=True, slots=True)
class RecordSet:
    """Values of one name and type, or an alias; `set_id` tells it from others of the same name and type."""

    name: Name
    type: str
    ttl_s: int = 60
    values: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Simple)
    set_id: str = ""
    health_check: str | None = None
    alias: Alias | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """For whom a name is resolved: the address that is known of it, and what follows from that.

    `network` is the block that its place was looked up by, so an answer by place holds for all of that block.
    """

    network: Network
    place: Place | None = None
    continent: str | None = None
    country: str | None = None
    subdivision: str | None = None
    rtt_ms: Mapping[str, float] = field(default_factory=dict)
    """Measured round trips, by AWS region and by site."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How things are at this moment: health by the id of its check, and each site's usual wait for a first
    token.
    """

    healthy: Mapping[str, bool] = field(default_factory=dict)
    """A check that is missing here has not run yet, and counts as healthy."""
    wait_ms: Mapping[str, float] = field(default_factory=dict)
