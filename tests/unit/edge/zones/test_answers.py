"""What a zone answers, for names that exist or not, wildcards, CNAMEs, aliases; and what it refuses."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.edge.zones.answer import Answer, Question, answer
from nearstream.edge.zones.names import BadName, parse_name, show_name
from nearstream.edge.zones.records import (
    Alias,
    Client,
    Conditions,
    Failover,
    Geolocation,
    RecordSet,
    Simple,
    Weighted,
)
from nearstream.edge.zones.zone import BadRecords, Soa, zone_of

EDGE = parse_name("edge.test")
SOA = Soa(parse_name("ns.edge.test"), parse_name("hostmaster.edge.test"), serial=7)
SOMEBODY = Client(ip_network("192.0.2.0/24"), continent="EU", country="DE")


def record(name: str, kind: str = "A", *values: str, **more) -> RecordSet:
    return RecordSet(parse_name(name), kind, values=values or ("192.0.2.1",), **more)


def alias(name: str, target: str, **more) -> RecordSet:
    evaluate = more.pop("evaluate_health", False)
    return replace(record(name, **more), values=(), alias=Alias(parse_name(target), evaluate))


def asked(records: list[RecordSet], name: str, kind: str = "A", *, down: str = "") -> Answer:
    conditions = Conditions(dict.fromkeys(down.split(), False))
    zone = zone_of(EDGE, SOA, records)
    return answer(zone, Question(parse_name(name), kind), SOMEBODY, conditions, draw=lambda: 0.5)


def values(found: Answer) -> list[str]:
    return [value for rrset in found.rrsets for value in rrset.values]


PLAIN = [
    record("www.edge.test"),
    record("a.deep.edge.test"),
    record("*.wild.edge.test", "A", "192.0.2.9"),
    record("b.wild.edge.test", "TXT", '"b"'),
    record("short.edge.test", "CNAME", "www.edge.test."),
    record("away.edge.test", "CNAME", "www.example.com."),
    record("broken.edge.test", "CNAME", "nothing.edge.test."),
    record("ring.edge.test", "CNAME", "ring2.edge.test."),
    record("ring2.edge.test", "CNAME", "ring.edge.test."),
    record("lent.edge.test", "NS", "ns.elsewhere.test."),
]


@pytest.mark.parametrize(
    ("name", "kind", "status", "expected"),
    [
        ("www.edge.test", "A", "found", ["192.0.2.1"]),
        ("WWW.Edge.Test", "A", "found", ["192.0.2.1"]),
        ("www.edge.test", "AAAA", "no-data", []),
        ("deep.edge.test", "A", "no-data", []),
        ("edge.test", "A", "no-data", []),
        ("x.edge.test", "A", "no-name", []),
        ("x.www.edge.test", "A", "no-name", []),
        ("x.wild.edge.test", "A", "found", ["192.0.2.9"]),
        ("y.x.wild.edge.test", "A", "found", ["192.0.2.9"]),
        ("x.wild.edge.test", "TXT", "no-data", []),
        ("b.wild.edge.test", "A", "no-data", []),
        ("x.b.wild.edge.test", "A", "no-name", []),
        ("wild.edge.test", "A", "no-data", []),
        ("short.edge.test", "A", "found", ["www.edge.test.", "192.0.2.1"]),
        ("short.edge.test", "CNAME", "found", ["www.edge.test."]),
        ("short.edge.test", "AAAA", "no-data", ["www.edge.test."]),
        ("away.edge.test", "A", "found", ["www.example.com."]),
        ("broken.edge.test", "A", "no-name", ["nothing.edge.test."]),
        ("lent.edge.test", "A", "delegated", ["ns.elsewhere.test."]),
        ("x.y.lent.edge.test", "A", "delegated", ["ns.elsewhere.test."]),
        ("lent.edge.test", "DS", "no-data", []),
        ("www.example.com", "A", "not-ours", []),
        ("test", "A", "not-ours", []),
    ],
)
def test_a_name_and_a_type_are_answered_as_the_rfcs_say(name, kind, status, expected):
    found = asked(PLAIN, name, kind)
    assert (found.status, values(found)) == (status, expected)


def test_a_ring_of_cnames_ends():
    assert len(asked(PLAIN, "ring.edge.test").rrsets) == 9


def test_a_wildcard_answers_under_the_name_that_was_asked_for():
    assert asked(PLAIN, "x.wild.edge.test").rrsets[0].name == parse_name("x.wild.edge.test")


def test_an_alias_gives_the_target_s_records_and_ttl_under_its_own_name():
    records = [alias("edge.test", "www.edge.test", ttl_s=5), record("www.edge.test", ttl_s=77)]
    (rrset,) = asked(records, "edge.test").rrsets
    assert (rrset.name, rrset.ttl_s, rrset.values) == (EDGE, 77, ("192.0.2.1",))


def test_an_alias_takes_its_target_s_health_only_if_it_evaluates_it():
    def given_to(*, evaluate: bool, down: str) -> list[str]:
        first = alias("www.edge.test", "one.edge.test", evaluate_health=evaluate)
        records = [
            replace(first, policy=Failover("PRIMARY"), set_id="1"),
            record("www.edge.test", "A", "192.0.2.2", policy=Failover("SECONDARY"), set_id="2"),
            record("one.edge.test", policy=Weighted(1), set_id="a", health_check="a"),
            record("one.edge.test", policy=Weighted(1), set_id="b", health_check="b"),
        ]
        return values(asked(records, "www.edge.test", down=down))

    assert given_to(evaluate=True, down="a") == ["192.0.2.1"]
    assert given_to(evaluate=True, down="a b") == ["192.0.2.2"]
    assert given_to(evaluate=False, down="a b") == ["192.0.2.1"]


def test_an_alias_without_a_target_has_no_data():
    assert asked([alias("www.edge.test", "gone.edge.test")], "www.edge.test").status == "no-data"


def test_a_client_outside_all_areas_gets_no_data():
    records = [record("www.edge.test", policy=Geolocation(country="US"), set_id="us")]
    assert asked(records, "www.edge.test") == Answer("no-data", (), 24)


def test_negative_answers_are_kept_for_the_lesser_of_the_soa_s_two_times():
    assert (SOA.negative_ttl_s, replace(SOA, ttl_s=60).negative_ttl_s) == (300, 60)


@pytest.mark.parametrize(
    ("message", "records"),
    [
        ("not in the zone", [record("www.example.com")]),
        ("takes no CNAME; use an alias", [record("edge.test", "CNAME", "x.edge.test.")]),
        ("a CNAME stands alone", [record("a.edge.test"), record("a.edge.test", "CNAME", "b.edge.test.")]),
        ("exists already", [record("a.edge.test"), record("a.edge.test")]),
        (
            "different policies",
            [
                record("a.edge.test", policy=Simple()),
                record("a.edge.test", policy=Weighted(1), set_id="x"),
            ],
        ),
        (
            "identifier of their own",
            [
                record("a.edge.test", policy=Weighted(1), set_id="x"),
                record("a.edge.test", policy=Weighted(2), set_id="x"),
            ],
        ),
        (
            "for the same clients",
            [
                record("a.edge.test", policy=Failover("PRIMARY"), set_id="x"),
                record("a.edge.test", policy=Failover("PRIMARY"), set_id="y"),
            ],
        ),
        ("outside its zone", [alias("a.edge.test", "www.example.com")]),
        ("leads back", [alias("a.edge.test", "b.edge.test"), alias("b.edge.test", "a.edge.test")]),
        ("leads back", [alias("a.edge.test", "a.edge.test")]),
    ],
)
def test_record_sets_that_cannot_stand_together_are_refused(message, records):
    with pytest.raises(BadRecords, match=message):
        zone_of(EDGE, SOA, records)


@pytest.mark.parametrize(
    ("text", "labels", "shown"),
    [
        ("WWW.Edge.test.", ("www", "edge", "test"), "www.edge.test."),
        ("\\052.edge.test", ("*", "edge", "test"), "\\052.edge.test."),
        ("*.edge.test", ("*", "edge", "test"), "\\052.edge.test."),
        ("a\\.b.test", ("a.b", "test"), "a\\056b.test."),
        (".", (), "."),
    ],
)
def test_names_are_read_and_listed_as_route_53_does(text, labels, shown):
    assert (parse_name(text), show_name(labels)) == (labels, shown)


@pytest.mark.parametrize(
    "text",
    ["", "a..b", ".a", "a" * 64 + ".test", ".".join(["a" * 60] * 5), "ä.test", "a\\400.test", "a\\12.b\\"],
)
def test_what_is_no_domain_name_is_refused(text):
    with pytest.raises(BadName):
        parse_name(text)


labels = st.text(st.characters(min_codepoint=0, max_codepoint=127), min_size=1, max_size=20).map(str.lower)


@given(st.lists(labels, max_size=8).map(tuple))
def test_any_name_is_read_back_from_how_it_is_listed(name):
    assert parse_name(show_name(name)) == name


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text):
    with suppress(BadName):
        parse_name(text)
