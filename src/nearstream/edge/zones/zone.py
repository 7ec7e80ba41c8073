"""A hosted zone: its record sets by name and type, what may stand beside what, and which names exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from nearstream.edge.zones.names import WILDCARD, Name, is_under, parents, show_name
from nearstream.edge.zones.records import Geoproximity, Multivalue, RecordSet, Simple, Weighted

MOST_ALIASES = 8


class BadRecords(ValueError):
    """Record sets that cannot stand together in a zone."""


@dataclass(frozen=True, slots=True)
class Soa:
    """Start of authority: who answers, and how long its negative answers are kept."""

    primary: Name
    mailbox: Name
    serial: int
    ttl_s: int = 900
    refresh_s: int = 7200
    retry_s: int = 900
    expire_s: int = 1_209_600
    minimum_s: int = 300

    @property
    def negative_ttl_s(self) -> int:
        """For how long the absence of a name or a type may be kept (RFC 2308)."""
        return min(self.ttl_s, self.minimum_s)


@dataclass(frozen=True, slots=True)
class Zone:
    """All that is known below one name; make it with `zone_of`, which checks it."""

    name: Name
    soa: Soa
    records: Mapping[Name, Mapping[str, tuple[RecordSet, ...]]]
    existing: frozenset[Name]
    """Every name that has records or that lies above one that has."""

    def find(self, name: Name) -> Mapping[str, tuple[RecordSet, ...]] | None:
        """The record sets of a name by type, from a wildcard where that covers it; None when the name does
        not exist.
        """
        if name in self.existing:
            return self.records.get(name, {})
        encloser = next(above for above in parents(name, self.name) if above in self.existing)
        return self.records.get((WILDCARD, *encloser))

    def delegation(self, name: Name) -> tuple[RecordSet, ...]:
        """The NS records of the topmost name between the zone's own and this one that is served elsewhere."""
        for above in reversed([name, *parents(name, self.name)]):
            servers = self.records.get(above, {}).get("NS", ())
            if servers and above != self.name:
                return servers
        return ()


def zone_of(name: Name, soa: Soa, records: Iterable[RecordSet]) -> Zone:
    """A zone with these record sets; BadRecords says which of them cannot be."""
    found: dict[Name, dict[str, tuple[RecordSet, ...]]] = {}
    existing = {name}
    for record in records:
        if not is_under(record.name, name):
            raise BadRecords(f"{show_name(record.name)} is not in the zone {show_name(name)}")
        of_name = found.setdefault(record.name, {})
        of_name[record.type] = (*of_name.get(record.type, ()), record)
        existing.update([record.name, *parents(record.name, name)])
    for one, types in found.items():
        _check_name(one, types, name)
        for group in types.values():
            _check_group(group)
    zone = Zone(name, soa, found, frozenset(existing))
    for group in _groups(zone):
        for record in group:
            _check_alias(record, zone)
    return zone


def _groups(zone: Zone) -> Iterator[tuple[RecordSet, ...]]:
    for types in zone.records.values():
        yield from types.values()


def _check_name(name: Name, types: Mapping[str, tuple[RecordSet, ...]], zone: Name) -> None:
    if "CNAME" not in types:
        return
    if name == zone:
        raise BadRecords(f"{show_name(name)} is the zone's own name and takes no CNAME; use an alias")
    if len(types) > 1:
        others = ", ".join(sorted(set(types) - {"CNAME"}))
        raise BadRecords(f"{show_name(name)} has a CNAME and {others}; a CNAME stands alone")


def _check_group(group: tuple[RecordSet, ...]) -> None:
    first = group[0]
    where = f"{show_name(first.name)} {first.type}"
    kinds = {type(record.policy) for record in group}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise BadRecords(f"{where} has record sets of different policies ({names}); it takes one policy")
    if Simple in kinds:
        if len(group) > 1:
            raise BadRecords(f"{where} exists already; several record sets need a policy and set identifiers")
        return
    identifiers = [record.set_id for record in group]
    if "" in identifiers or len(set(identifiers)) < len(identifiers):
        raise BadRecords(f"{where} has record sets without a set identifier of their own")
    distinct = [record.policy for record in group if not _may_repeat(record)]
    if len(set(distinct)) < len(distinct):
        raise BadRecords(f"{where} has two record sets for the same clients")


def _may_repeat(record: RecordSet) -> bool:
    """Two weights may be equal; two primaries or two record sets of one area may not."""
    return isinstance(record.policy, Weighted | Multivalue | Geoproximity)


def _check_alias(record: RecordSet, zone: Zone) -> None:
    seen, current = {record.name}, [record]
    for _ in range(MOST_ALIASES):
        targets = {one.alias.target for one in current if one.alias}
        if not targets:
            return
        outside = next((one for one in targets if not is_under(one, zone.name)), None)
        if outside is not None:
            raise BadRecords(f"{show_name(record.name)} is an alias outside its zone: {show_name(outside)}")
        if targets & seen:
            break
        seen |= targets
        current = [one for target in targets for one in zone.records.get(target, {}).get(record.type, ())]
    else:
        if not any(one.alias for one in current):
            return
    raise BadRecords(
        f"{show_name(record.name)} {record.type} is an alias that leads back to itself or too far"
    )
