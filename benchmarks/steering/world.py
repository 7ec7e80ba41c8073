"""Where the simulated users and sites are, what hardware the sites have, and how long a packet takes
between them.

A region in Oregon with two or four zones; users in ten metropolitan areas, each with twelve networks
(fibre, cable or mobile); a share of them reaches the zone nearby over a detour. Milliseconds throughout.
The figures of a 3-billion-parameter model in 16 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

REGION = "pdx"
PLACES = {
    "pdx": (45.84, -119.70),
    "lax": (34.05, -118.24),
    "hnl": (21.31, -157.86),
    "den": (39.74, -104.99),
    "phx": (33.45, -112.07),
    "sea": (47.61, -122.33),
    "sfo": (37.77, -122.42),
    "san": (32.72, -117.16),
    "las": (36.17, -115.14),
    "slc": (40.76, -111.89),
    "por": (45.52, -122.68),
}
POPULATION = {
    "lax": 0.33,
    "sfo": 0.15,
    "sea": 0.10,
    "por": 0.04,
    "den": 0.09,
    "phx": 0.10,
    "hnl": 0.05,
    "san": 0.06,
    "las": 0.04,
    "slc": 0.04,
}
DETOUR_SHARE = 0.15
_EARTH_KM = 12_742
_MS_A_KM = 0.0049
_GROUPS_A_METRO = 12
_GROUPS_SEED = 99


@dataclass(frozen=True, slots=True)
class Hardware:
    """A replica's speed: reading the weights once, a token of a prompt, a running stream, and each step's
    rest.
    """

    weights_ms: float
    token_ms: float
    stream_ms: float
    rest_ms: float
    budget_tokens: int
    slots: int
    cache_tokens: int

    def step_ms(self, tokens: float, streams: float) -> float:
        """One step that reads so many tokens of prompts and makes one token for each stream."""
        computing = self.token_ms * (tokens + streams)
        return max(self.weights_ms, computing) + self.stream_ms * streams + self.rest_ms


HARDWARE = {
    "t4": Hardware(22.0, 0.25, 0.25, 2.0, 512, 24, 60_000),
    "l4": Hardware(21.0, 0.12, 0.20, 2.0, 1024, 48, 120_000),
    "a10g": Hardware(11.0, 0.115, 0.15, 2.0, 1024, 48, 120_000),
    "l40s": Hardware(7.5, 0.045, 0.08, 2.0, 2048, 96, 300_000),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which replicas each site has, and the rate at which even perfect knowledge has a 95th percentile of
    1.5 s.
    """

    sites: Mapping[str, tuple[str, ...]]
    full_rate: float


def _layout(full_rate: float, **sites: str) -> Layout:
    return Layout({site: tuple(names.split()) for site, names in sites.items()}, full_rate)


LAYOUTS = {
    "r+4": _layout(44.0, pdx="a10g a10g a10g a10g", lax="t4 t4 t4", hnl="t4", den="l4", phx="t4"),
    "r+2": _layout(34.5, pdx="a10g a10g a10g a10g", lax="t4 t4 t4", hnl="t4"),
    "r+2big": _layout(46.0, pdx="l40s l40s", lax="t4 t4 t4", hnl="t4 t4"),
    "r+4edge": _layout(53.0, pdx="a10g a10g a10g", lax="a10g a10g a10g", hnl="t4", den="l4", phx="l4"),
    "r+4same": _layout(60.0, pdx="l4 l4 l4 l4", lax="l4 l4 l4", hnl="l4", den="l4", phx="l4"),
}


@dataclass(frozen=True, slots=True)
class UserGroup:
    """Users of one network in one place: their real round trips, and what is measured or supposed of them."""

    metro: str
    kind: str
    rtt_ms: Mapping[str, float]
    jitter_ms: float
    measured_ms: Mapping[str, float]
    by_place: str
    by_rtt: str


def distance_km(one: str, other: str) -> float:
    """Along a great circle."""
    (lat, lon), (lat2, lon2) = (map(math.radians, PLACES[place]) for place in (one, other))
    half = math.sin((lat2 - lat) / 2) ** 2 + math.cos(lat) * math.cos(lat2) * math.sin((lon2 - lon) / 2) ** 2
    return _EARTH_KM * math.asin(math.sqrt(half))


def mesh_rtt_ms(one: str, other: str) -> float:
    """Between two sites."""
    return 0.0 if one == other else 2 * distance_km(one, other) * _MS_A_KM * 1.4 + 1.0


def user_groups(sites: Sequence[str]) -> dict[str, list[UserGroup]]:
    """The networks of each metropolitan area; the same ones in every run."""
    random = Random(_GROUPS_SEED)
    return {metro: [_group(metro, sites, random) for _ in range(_GROUPS_A_METRO)] for metro in POPULATION}


def _group(metro: str, sites: Sequence[str], random: Random) -> UserGroup:
    kind = random.choices(["fibre", "cable", "mobile"], [0.3, 0.45, 0.25])[0]
    last_mile = {"fibre": 3.0, "cable": 10.0, "mobile": 32.0}[kind] * random.uniform(0.7, 1.4)
    core = {site: 2 * distance_km(metro, site) * _MS_A_KM * 1.65 + 1.5 for site in sites}
    rtt = {site: last_mile + core[site] * random.lognormvariate(0, 0.12) for site in sites}
    by_place = min(sites, key=lambda site: distance_km(metro, site))
    if random.random() < DETOUR_SHARE and by_place != REGION:
        rtt[by_place] += random.uniform(15, 60)
    measured = {site: rtt[site] * random.lognormvariate(0, 0.08) for site in sites}
    jitter = {"fibre": 0.4, "cable": 1.5, "mobile": 6.0}[kind]
    return UserGroup(
        metro, kind, rtt, jitter, measured, by_place, min(sites, key=lambda site: measured[site])
    )
