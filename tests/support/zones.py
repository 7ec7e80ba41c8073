"""A zone for tests: three sites by place, a CNAME, a wildcard, text, a delegation."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from nearstream.edge.zones.names import parse_name
from nearstream.edge.zones.places import LOCAL_ZONE_GROUPS, REGIONS, Place
from nearstream.edge.zones.records import Client, Geoproximity, RecordSet, Weighted
from nearstream.edge.zones.zone import Soa, Zone, zone_of

EDGE = parse_name("edge.test")
SOA = Soa(parse_name("ns-pdx.edge.test"), parse_name("hostmaster.edge.test"), serial=7)
SITES = {
    "pdx": ("192.0.2.1", REGIONS["us-west-2"]),
    "lax": ("192.0.2.2", LOCAL_ZONE_GROUPS["us-west-2-lax-1"]),
    "hnl": ("192.0.2.3", LOCAL_ZONE_GROUPS["us-west-2-hnl-1"]),
}
PREFIXES = {
    "198.51.100.0/24": Place(45.52, -122.68),
    "198.51.101.0/24": Place(34.05, -118.24),
    "198.51.102.0/24": Place(21.31, -157.86),
    "2001:db8:1::/48": Place(21.31, -157.86),
}
"""Users near Oregon, in Los Angeles and in Honolulu."""


def edge_zone(*, serial: int = 7) -> Zone:
    """The zone edge.test."""
    entries = [
        record("www.edge.test", "A", address, policy=Geoproximity(place), set_id=site, health_check=site)
        for site, (address, place) in SITES.items()
    ]
    return zone_of(
        EDGE,
        Soa(SOA.primary, SOA.mailbox, serial),
        [
            *entries,
            record("edge.test", "NS", "ns-pdx.edge.test."),
            record("ns-pdx.edge.test", "A", "192.0.2.53"),
            record("chat.edge.test", "CNAME", "www.edge.test."),
            record("*.wild.edge.test", "A", "192.0.2.9"),
            record("text.edge.test", "TXT", '"one" "two"'),
            record("many.edge.test", "A", *[f"203.0.113.{number}" for number in range(100)]),
            record("half.edge.test", "A", "192.0.2.21", policy=Weighted(1), set_id="a"),
            record("half.edge.test", "A", "192.0.2.22", policy=Weighted(1), set_id="b"),
            record("lent.edge.test", "NS", "ns.lent.edge.test."),
            record("ns.lent.edge.test", "A", "192.0.2.77"),
        ],
    )


def record(name: str, kind: str, *values: str, **more) -> RecordSet:
    """A record set of the zone."""
    return RecordSet(parse_name(name), kind, values=values, **more)


def locate(network: IPv4Network | IPv6Network) -> Client:
    """The client's place by the rows above."""
    for text, place in PREFIXES.items():
        row = ip_network(text)
        if row.version == network.version and row.overlaps(network) and row.prefixlen <= network.prefixlen:
            return Client(row, place)
    return Client(network)
