"""Which of several record sets of one name and type a client gets: one function a policy.

Source: the Route 53 developer guide, "Choosing a routing policy" and "How Route 53 chooses records when
health checking is configured". For all of them: an unhealthy record set is given only when none that could
be given is healthy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from nearstream.edge.zones.places import REGIONS, distance_km
from nearstream.edge.zones.records import (
    CidrRouting,
    Client,
    Conditions,
    Failover,
    FirstToken,
    Geolocation,
    Geoproximity,
    Latency,
    Multivalue,
    Network,
    RecordSet,
    Weighted,
)

MOST_VALUES = 8
MS_A_KM = 0.0049
_DETOUR = 1.65
_LEAST_RTT_MS = 1.5

Draw = Callable[[], float]
"""A random number from [0, 1)."""
Healthy = Callable[[RecordSet], bool]


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen record sets, and how long a prefix of the client's address decided (0: any client gets
    this).
    """

    records: tuple[RecordSet, ...]
    scope: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """What a choice depends on besides the record sets."""

    client: Client
    conditions: Conditions
    healthy: Healthy
    draw: Draw


def select(records: Sequence[RecordSet], query: Query) -> Selection:
    """The record sets that the client gets; none when no area or block of addresses holds it."""
    ordered = sorted(records, key=lambda record: record.set_id)
    rule = _RULES.get(type(ordered[0].policy))
    return rule(ordered, query) if rule else Selection(tuple(ordered[:1]))


def _alive(records: Sequence[RecordSet], query: Query) -> Sequence[RecordSet]:
    """The healthy ones; all of them when there is none."""
    return [record for record in records if query.healthy(record)] or records


def _weighted(records: Sequence[RecordSet], query: Query) -> Selection:
    """One, as often as its share of the weights; weight 0 only when every other one is down."""
    weights = {
        record.set_id: record.policy.weight for record in records if isinstance(record.policy, Weighted)
    }
    with_weight = [record for record in records if weights[record.set_id]]
    healthy = [record for record in with_weight if query.healthy(record)]
    if not healthy:
        healthy = [record for record in records if query.healthy(record)]
    usable = healthy or with_weight or records
    # The shortest of exponential waiting times falls on each one in proportion to its rate.
    waits = [-math.log(1.0 - query.draw()) / (weights[record.set_id] or 1) for record in usable]
    return Selection((usable[waits.index(min(waits))],))


def _latency(records: Sequence[RecordSet], query: Query) -> Selection:
    """The least round trip to the record's region; where it was not measured, the distance stands for it."""

    def rtt_ms(record: RecordSet) -> float:
        region = record.policy.region if isinstance(record.policy, Latency) else ""
        client = query.client
        if region in client.rtt_ms:
            return client.rtt_ms[region]
        if client.place is None or region not in REGIONS:
            return math.inf
        return distance_km(client.place, REGIONS[region]) * 2 * MS_A_KM * _DETOUR + _LEAST_RTT_MS

    return Selection((min(_alive(records, query), key=rtt_ms),), query.client.network.prefixlen)


def _geolocation(records: Sequence[RecordSet], query: Query) -> Selection:
    """The smallest area that holds the client and is healthy: subdivision, country, continent, everywhere."""
    client = query.client
    areas = [
        Geolocation(country=client.country, subdivision=client.subdivision) if client.subdivision else None,
        Geolocation(country=client.country) if client.country else None,
        Geolocation(continent=client.continent) if client.continent else None,
        Geolocation(),
    ]
    by_area = {record.policy: record for record in records}
    holding = [by_area[area] for area in areas if area is not None and area in by_area]
    return Selection(tuple(_alive(holding, query)[:1]), client.network.prefixlen)


def _geoproximity(records: Sequence[RecordSet], query: Query) -> Selection:
    """The least biased distance; a client without a place gets the first by set id."""
    place = query.client.place

    def biased_km(record: RecordSet) -> float:
        if place is None or not isinstance(record.policy, Geoproximity):
            return 0.0
        return record.policy.biased_km(distance_km(place, record.policy.place))

    return Selection((min(_alive(records, query), key=biased_km),), query.client.network.prefixlen)


def _failover(records: Sequence[RecordSet], query: Query) -> Selection:
    """The primary one while it is healthy, or while the secondary one is not."""
    primary_first = sorted(records, key=lambda record: record.policy != Failover("PRIMARY"))
    return Selection(tuple(_alive(primary_first, query)[:1]))


def _multivalue(records: Sequence[RecordSet], query: Query) -> Selection:
    """Up to eight healthy ones, in random order."""
    order = {record.set_id: query.draw() for record in records}
    usable = sorted(_alive(records, query), key=lambda record: order[record.set_id])
    return Selection(tuple(usable[:MOST_VALUES]))


def _cidr(records: Sequence[RecordSet], query: Query) -> Selection:
    """The longest block that holds the client's network and is healthy, else the default location."""
    network = query.client.network
    found: list[tuple[int, RecordSet]] = []
    for record in records:
        blocks = record.policy.blocks if isinstance(record.policy, CidrRouting) else ()
        holding = [block.prefixlen for block in blocks if _holds(block, network)]
        if holding or not blocks:
            found.append((max(holding, default=0), record))
    found.sort(key=lambda one: -one[0])
    usable = [one for one in found if query.healthy(one[1])] or found
    # Another client of the same network gets another answer only if a longer block lies in it.
    inner = [
        block.prefixlen
        for record in records
        if isinstance(record.policy, CidrRouting)
        for block in record.policy.blocks
        if _holds(block, network) or _holds(network, block)
    ]
    return Selection(tuple(record for _, record in usable[:1]), max(inner, default=0))


def _holds(block: Network, network: Network) -> bool:
    if isinstance(block, IPv4Network):
        return isinstance(network, IPv4Network) and network.subnet_of(block)
    return isinstance(network, IPv6Network) and network.subnet_of(block)


def _first_token(records: Sequence[RecordSet], query: Query) -> Selection:
    """The entry by which the first token comes soonest: the client's round trip and what the site usually
    takes.
    """

    def predicted_ms(record: RecordSet) -> float:
        site = record.policy.site if isinstance(record.policy, FirstToken) else ""
        return query.client.rtt_ms.get(site, math.inf) + query.conditions.wait_ms.get(site, 0.0)

    return Selection((min(_alive(records, query), key=predicted_ms),), query.client.network.prefixlen)


_RULES: dict[type, Callable[[Sequence[RecordSet], Query], Selection]] = {
    Weighted: _weighted,
    Latency: _latency,
    Geolocation: _geolocation,
    Geoproximity: _geoproximity,
    Failover: _failover,
    Multivalue: _multivalue,
    CidrRouting: _cidr,
    FirstToken: _first_token,
}
