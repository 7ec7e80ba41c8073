"""From a query's bytes to a response's: finds the zone, asks it, and keeps answers that depend on no chance
for as long as they hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nearstream.edge.zones.answer import Answer, Question, Rrset, answer
from nearstream.edge.zones.names import Name, is_under, parse_name, show_name
from nearstream.edge.zones.records import Client, Conditions
from nearstream.edge.zones.zone import Soa, Zone
from nearstream.nameserver.senders import Network, network_of
from nearstream.wire.dns.query import Query, Rejected, read_query
from nearstream.wire.dns.response import (
    LONGEST_SCOPE,
    MOST_BYTES,
    PAYLOAD_BYTES,
    Rcode,
    Records,
    Response,
    write_response,
)

MOST_KEPT = 50_000
LONGEST_KEPT_S = 60.0
MOST_KEPT_QUERY_BYTES = 512
AMPLIFICATION, AMPLIFIED_BYTES = 3, 512
_ADDRESSES = ("A", "AAAA")


@dataclass(frozen=True, slots=True)
class Names:
    """All that answers come from at one moment. Another object replaces it when anything changes."""

    zones: tuple[Zone, ...]
    conditions: Conditions = field(default_factory=Conditions)
    locate: Callable[[Network], Client] = Client
    """What is known of a client's network."""

    def zone_for(self, name: Name) -> Zone | None:
        """The zone with the longest name that holds this one."""
        holding = [zone for zone in self.zones if is_under(name, zone.name)]
        return max(holding, key=lambda zone: len(zone.name), default=None)


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send, without the query's id; `bucket` tells answers apart for rate limiting."""

    wire: bytes
    bucket: object
    until_s: float = 0.0


@dataclass(slots=True)
class Responder:
    """Answers queries from `names()`; `draw` gives random numbers from [0, 1)."""

    names: Callable[[], Names]
    draw: Callable[[], float]
    _kept: dict[object, Reply] = field(default_factory=dict)
    _kept_names: Names | None = None

    def reply(self, wire: bytes, source: str, *, stream: bool, now_s: float) -> Reply | None:
        """The reply to a query from `source`, over TCP if `stream`; None for what gets none."""
        names = self.names()
        if names is not self._kept_names:
            self._kept.clear()
            self._kept_names = names
        # As far as a client subnet may go, the resolver's own network stands for its users.
        network = network_of(source, LONGEST_SCOPE)
        key = (wire[2:], network, stream)
        kept = self._kept.get(key)
        if kept and now_s < kept.until_s:
            return Reply(wire[:2] + kept.wire[2:], kept.bucket)
        query = read_query(wire)
        if not isinstance(query, Query):
            return Reply(query.wire, "error") if isinstance(query, Rejected) else None
        draws = _CountedDraws(self.draw)
        response = respond(names, query, network, draw=draws)
        made = _written(query, response, stream=stream, asked_bytes=len(wire), until_s=now_s + LONGEST_KEPT_S)
        if not draws.count and len(wire) <= MOST_KEPT_QUERY_BYTES and response.rcode != "NXDOMAIN":
            while len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = made
        return made


@dataclass(slots=True)
class _CountedDraws:
    """Whether an answer depended on chance."""

    draw: Callable[[], float]
    count: int = 0

    def __call__(self) -> float:
        self.count += 1
        return self.draw()


def respond(names: Names, query: Query, source: Network, *, draw: Callable[[], float]) -> Response:
    """What the zones say to a query; REFUSED for names that are in none of them."""
    zone = names.zone_for(query.name)
    if zone is None:
        return Response("REFUSED", authoritative=False)
    if query.type == "ANY":
        # RFC 8482: a small answer instead of everything.
        hinfo = Records(query.name, "HINFO", 3600, ('"RFC8482" ""',))
        return Response(answer=(hinfo,)) if zone.find(query.name) is not None else _negative(zone, "NXDOMAIN")
    network = query.subnet if query.subnet is not None and query.subnet.prefixlen else source
    found = answer(zone, Question(query.name, query.type), names.locate(network), names.conditions, draw=draw)
    return _response(zone, found)


def _response(zone: Zone, found: Answer) -> Response:
    records = tuple(_records(rrset) for rrset in found.rrsets)
    if found.status == "delegated":
        *chain, servers = records
        return Response(
            authoritative=bool(chain),
            answer=tuple(chain),
            authority=(servers,),
            additional=_glue(zone, found.rrsets[-1]),
            scope=found.scope,
        )
    if found.status == "found":
        last = found.rrsets[-1]
        glue = _glue(zone, last) if last.type == "NS" else ()
        return Response(answer=records, additional=glue, scope=found.scope)
    return _negative(zone, "NXDOMAIN" if found.status == "no-name" else "NOERROR", records, found.scope)


def _negative(zone: Zone, rcode: Rcode, chain: tuple[Records, ...] = (), scope: int = 0) -> Response:
    soa = Records(zone.name, "SOA", zone.soa.negative_ttl_s, (soa_value(zone.soa),))
    return Response(rcode, answer=chain, authority=(soa,), scope=scope)


def soa_value(soa: Soa) -> str:
    """An SOA record's value as zone files have it."""
    times = f"{soa.serial} {soa.refresh_s} {soa.retry_s} {soa.expire_s} {soa.minimum_s}"
    return f"{show_name(soa.primary)} {show_name(soa.mailbox)} {times}"


def _glue(zone: Zone, servers: Rrset) -> tuple[Records, ...]:
    """Addresses of name servers that lie in the zone themselves."""
    names = [parse_name(value) for value in servers.values]
    return tuple(
        Records(name, kind, record.ttl_s, record.values)
        for name in names
        for kind in _ADDRESSES
        for record in zone.records.get(name, {}).get(kind, ())[:1]
        if record.values
    )


def _records(rrset: Rrset) -> Records:
    return Records(rrset.name, rrset.type, rrset.ttl_s, rrset.values)


def _written(query: Query, response: Response, *, stream: bool, asked_bytes: int, until_s: float) -> Reply:
    most_bytes = MOST_BYTES if stream else min(query.most_bytes, PAYLOAD_BYTES)
    wire = write_response(query, response, most_bytes=most_bytes)
    if not stream and len(wire) > max(AMPLIFIED_BYTES, AMPLIFICATION * asked_bytes):
        wire = write_response(query, Response(response.rcode, truncated=True), most_bytes=most_bytes)
    bucket = "error" if response.rcode != "NOERROR" else (query.name, query.type)
    return Reply(wire, bucket, until_s)
