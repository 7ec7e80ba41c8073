"""What a zone answers to a question: pure, from the zone, the client, the conditions of the moment and a
source of chance.

Follows RFC 1034 section 4.3.2 (the algorithm), RFC 2308 (negative answers), RFC 4592 (wildcards) and Route
53's aliases.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from nearstream.edge.zones.names import Name, is_under, parse_name
from nearstream.edge.zones.records import Client, Conditions, RecordSet
from nearstream.edge.zones.selection import Draw, Query, select
from nearstream.edge.zones.zone import MOST_ALIASES, Zone

MOST_CNAMES = 8

Status = Literal["found", "no-data", "no-name", "delegated", "not-ours"]


@dataclass(frozen=True, slots=True)
class Question:
    """A name and a type."""

    name: Name
    type: str


@dataclass(frozen=True, slots=True)
class Rrset:
    """Records to be written: one name and type, one TTL."""

    name: Name
    type: str
    ttl_s: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome. With `no-data` and `no-name` the zone's SOA goes along; `scope` is the EDNS client
    subnet's.
    """

    status: Status
    rrsets: tuple[Rrset, ...] = ()
    scope: int = 0


def answer(zone: Zone, question: Question, client: Client, conditions: Conditions, *, draw: Draw) -> Answer:
    """The records for this client. With equal arguments and an equal `draw` the answer is equal."""
    query = Query(client, conditions, partial(is_healthy, zone=zone, conditions=conditions), draw)
    found: list[Rrset] = []
    scope, name = 0, question.name
    for _ in range(MOST_CNAMES + 1):
        if not is_under(name, zone.name):
            return Answer("found", tuple(found)) if found else Answer("not-ours")
        delegation = zone.delegation(name)
        # A name's DS records are the parent zone's.
        if delegation and not (question.type == "DS" and delegation[0].name == name):
            servers = delegation[0]
            referral = Rrset(servers.name, "NS", servers.ttl_s, servers.values)
            return Answer("delegated", (*found, referral), scope)
        types = zone.find(name)
        if types is None:
            return Answer("no-name", tuple(found), scope)
        wanted = "CNAME" if "CNAME" in types else question.type
        part = _resolve(zone, Question(name, wanted), types.get(wanted, ()), query, MOST_ALIASES)
        scope = max(scope, part.scope)
        if not part.rrsets:
            return Answer("no-data", tuple(found), scope)
        found.extend(part.rrsets)
        if wanted == question.type:
            break
        name = _target(part.rrsets[-1])
    return Answer("found", tuple(found), scope)


def is_healthy(record: RecordSet, *, zone: Zone, conditions: Conditions, depth: int = MOST_ALIASES) -> bool:
    """By its own check, and for an alias that evaluates it by whether a record set of its target is
    healthy.
    """
    if record.health_check is not None and not conditions.healthy.get(record.health_check, True):
        return False
    if record.alias is None or not record.alias.evaluate_health or not depth:
        return True
    targets = zone.records.get(record.alias.target, {}).get(record.type, ())
    return any(is_healthy(one, zone=zone, conditions=conditions, depth=depth - 1) for one in targets)


def _resolve(
    zone: Zone, question: Question, records: tuple[RecordSet, ...], query: Query, depth: int
) -> Answer:
    """The records of one name and type, aliases followed; they bear the name that was asked for."""
    if not records or not depth:
        return Answer("no-data")
    selection = select(records, query)
    values: list[str] = []
    ttls, scope = [], selection.scope
    for record in selection.records:
        if record.alias is None:
            values += record.values
            ttls.append(record.ttl_s)
            continue
        targets = (zone.find(record.alias.target) or {}).get(question.type, ())
        part = _resolve(zone, question, targets, query, depth - 1)
        scope = max(scope, part.scope)
        for rrset in part.rrsets:
            values += rrset.values
            ttls.append(rrset.ttl_s)
    if not values:
        return Answer("no-data", scope=scope)
    return Answer("found", (Rrset(question.name, question.type, min(ttls), tuple(values)),), scope)


def _target(cname: Rrset) -> Name:

    return parse_name(cname.values[0])
