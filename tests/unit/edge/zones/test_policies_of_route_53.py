"""Each policy by the examples that Route 53 documents, and properties that hold for all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_network
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.edge.zones.places import LOCAL_ZONE_GROUPS, REGIONS, Place, distance_km
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
    Policy,
    RecordSet,
    Weighted,
)
from nearstream.edge.zones.selection import Query, select

DENVER = Place(39.74, -104.99)
LOS_ANGELES = LOCAL_ZONE_GROUPS["us-west-2-lax-1"]
OREGON = REGIONS["us-west-2"]
SOMEBODY = Client(ip_network("192.0.2.0/24"))


def records(**policies: Policy) -> list[RecordSet]:
    """One record set a policy; its set id and its health check have the same name."""
    return [
        RecordSet(("www",), "A", values=(name,), policy=policy, set_id=name, health_check=name)
        for name, policy in policies.items()
    ]


def chosen(
    group: list[RecordSet], client: Client = SOMEBODY, *, down: str = "", seed: int = 1, **waits
) -> str:
    """The set ids that are given; `down` names those that are unhealthy."""
    conditions = Conditions(dict.fromkeys(down.split(), False), waits)
    healthy = {record.set_id: record.set_id not in down.split() for record in group}
    query = Query(client, conditions, lambda record: healthy[record.set_id], Random(seed).random)
    return " ".join(record.set_id for record in select(group, query).records)


def often(group: list[RecordSet], *, down: str = "", times: int = 4000) -> dict[str, float]:
    counted = Counter(chosen(group, down=down, seed=seed) for seed in range(times))
    return {name: count / times for name, count in counted.items()}


@pytest.mark.parametrize(
    ("km", "bias", "biased"),
    [(150, 50, 75), (1335, -4, 1390.6), (100, 0, 100), (99, 99, 0.99), (1, -99, 100)],
)
def test_a_bias_scales_the_distance(km, bias, biased):
    assert Geoproximity(OREGON, bias).biased_km(km) == pytest.approx(biased, rel=1e-3)


def test_a_bias_of_50_lets_a_place_at_150_km_win_over_one_at_100():
    client = replace(SOMEBODY, place=Place(0, 0))
    km = distance_km(Place(0, 0), Place(0, 1))
    far, near = Place(0, 150 / km), Place(0, 100 / km)
    assert chosen(records(far=Geoproximity(far), near=Geoproximity(near)), client) == "near"
    assert chosen(records(far=Geoproximity(far, 50), near=Geoproximity(near)), client) == "far"


def test_denver_goes_to_los_angeles_and_at_a_bias_of_minus_4_to_oregon():
    assert distance_km(DENVER, LOS_ANGELES) == pytest.approx(1335, abs=3)
    assert distance_km(DENVER, OREGON) == pytest.approx(1376, abs=3)
    client = replace(SOMEBODY, place=DENVER)
    for bias, expected in ((0, "lax"), (-2, "lax"), (-4, "pdx")):
        group = records(lax=Geoproximity(LOS_ANGELES, bias), pdx=Geoproximity(OREGON))
        assert chosen(group, client) == expected


@given(st.floats(-80, 80), st.floats(-180, 180), st.integers(-99, 99), st.integers(-99, 99))
def test_a_higher_bias_never_loses_a_client(lat, lon, bias, other):
    client = replace(SOMEBODY, place=Place(lat, lon))
    low, high = sorted((bias, other))
    before = chosen(records(lax=Geoproximity(LOS_ANGELES, low), pdx=Geoproximity(OREGON)), client)
    after = chosen(records(lax=Geoproximity(LOS_ANGELES, high), pdx=Geoproximity(OREGON)), client)
    assert (before, after) != ("lax", "pdx")


def test_a_client_without_a_place_gets_the_first_by_set_id():
    assert chosen(records(b=Geoproximity(OREGON), a=Geoproximity(LOS_ANGELES))) == "a"


@pytest.mark.parametrize(
    ("weights", "down", "shares"),
    [
        ({"a": 10, "b": 20, "c": 20}, "", {"a": 0.2, "b": 0.4, "c": 0.4}),
        ({"a": 1, "b": 255}, "", {"a": 1 / 256, "b": 255 / 256}),
        ({"a": 0, "b": 3}, "", {"b": 1}),
        ({"a": 0, "b": 3}, "b", {"a": 1}),
        ({"a": 0, "b": 3}, "a b", {"b": 1}),
        ({"a": 0, "b": 0}, "", {"a": 0.5, "b": 0.5}),
        ({"a": 1, "b": 1, "c": 2}, "c", {"a": 0.5, "b": 0.5}),
    ],
)
def test_weights_are_shares_and_zero_is_used_when_all_others_are_down(weights, down, shares):
    group = records(**{name: Weighted(weight) for name, weight in weights.items()})
    assert often(group, down=down) == pytest.approx(shares, abs=0.03)


def test_latency_takes_the_least_round_trip_and_distance_where_none_was_measured():
    group = records(oregon=Latency("us-west-2"), virginia=Latency("us-east-1"), ireland=Latency("eu-west-1"))
    measured = replace(SOMEBODY, rtt_ms={"us-west-2": 90, "us-east-1": 30, "eu-west-1": 40})
    assert chosen(group, measured) == "virginia"
    assert chosen(group, measured, down="virginia") == "ireland"
    assert chosen(group, replace(SOMEBODY, place=DENVER)) == "oregon"


def test_latency_records_cannot_tell_a_zone_from_its_region():
    assert len(REGIONS) == 39
    assert not set(REGIONS) & set(LOCAL_ZONE_GROUPS)


AREAS = records(
    everywhere=Geolocation(),
    north_america=Geolocation(continent="NA"),
    us=Geolocation(country="US"),
    california=Geolocation(country="US", subdivision="CA"),
)


@pytest.mark.parametrize(
    ("area", "down", "expected"),
    [
        (("NA", "US", "CA"), "", "california"),
        (("NA", "US", "CA"), "california", "us"),
        (("NA", "US", "CA"), "california us", "north_america"),
        (("NA", "US", "CA"), "california us north_america", "everywhere"),
        (("NA", "US", "CA"), "california us north_america everywhere", "california"),
        (("NA", "US", "OR"), "", "us"),
        (("NA", "CA", None), "", "north_america"),
        (("EU", "DE", None), "", "everywhere"),
        ((None, None, None), "", "everywhere"),
    ],
)
def test_the_smallest_area_wins_and_an_unhealthy_one_climbs(area, down, expected):
    continent, country, subdivision = area
    client = replace(SOMEBODY, continent=continent, country=country, subdivision=subdivision)
    assert chosen(AREAS, client, down=down) == expected


def test_without_a_default_a_client_elsewhere_gets_nothing():
    assert chosen(AREAS[1:], replace(SOMEBODY, continent="EU", country="DE")) == ""


@pytest.mark.parametrize(
    ("down", "expected"), [("", "one"), ("one", "two"), ("two", "one"), ("one two", "one")]
)
def test_the_primary_answers_while_it_is_healthy_or_nobody_is(down, expected):
    assert chosen(records(two=Failover("SECONDARY"), one=Failover("PRIMARY")), down=down) == expected


def test_multivalue_gives_up_to_eight_healthy_ones_in_any_order():
    names = [f"m{number:02}" for number in range(12)]
    group = records(**{name: Multivalue() for name in names})
    down = " ".join(names[:9])
    assert set(chosen(group, down=down).split()) == set(names[9:])
    assert len(chosen(group).split()) == 8
    assert len(set(chosen(group, down=" ".join(names)).split())) == 8
    assert len({chosen(group, seed=seed) for seed in range(9)}) > 1


CIDR = records(
    office=CidrRouting("office", (ip_network("198.51.100.0/24"), ip_network("2001:db8:1::/48"))),
    provider=CidrRouting("provider", (ip_network("198.51.0.0/16"),)),
    others=CidrRouting("*"),
)


@pytest.mark.parametrize(
    ("network", "down", "expected"),
    [
        ("198.51.100.0/24", "", "office"),
        ("198.51.100.7/32", "", "office"),
        ("198.51.7.0/24", "", "provider"),
        ("198.51.100.0/24", "office", "provider"),
        ("198.50.0.0/15", "", "others"),
        ("192.0.2.0/24", "", "others"),
        ("2001:db8:1:900::/56", "", "office"),
        ("2001:db8:2::/56", "", "others"),
    ],
)
def test_the_longest_block_of_addresses_wins(network, down, expected):
    assert chosen(CIDR, Client(ip_network(network)), down=down) == expected


def test_the_scope_of_a_block_is_the_longest_that_could_decide():
    def scope(network: str) -> int:
        query = Query(Client(ip_network(network)), Conditions(), lambda record: True, Random(1).random)
        return select(CIDR, query).scope

    assert [scope(one) for one in ("198.51.100.0/24", "198.51.7.0/24", "198.51.0.0/16", "192.0.2.0/24")] == [
        24,
        16,
        24,
        0,
    ]


def test_an_entry_is_chosen_by_round_trip_and_usual_wait():
    group = records(lax=FirstToken("lax"), pdx=FirstToken("pdx"))
    client = replace(SOMEBODY, rtt_ms={"lax": 9, "pdx": 30})
    assert chosen(group, client) == "lax"
    assert chosen(group, client, lax=90.0, pdx=20.0) == "pdx"
    assert chosen(group, client, down="lax") == "pdx"


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda: Weighted(256), id="weight-256"),
        pytest.param(lambda: Weighted(-1), id="weight-minus-1"),
        pytest.param(lambda: Geoproximity(OREGON, 100), id="bias-100"),
        pytest.param(lambda: Geolocation(country="DE", subdivision="BE"), id="state-of-germany"),
        pytest.param(lambda: Geolocation(continent="EU", country="DE"), id="continent-and-country"),
        pytest.param(lambda: CidrRouting("x", (ip_network("192.0.2.0/25"),)), id="v4-25"),
        pytest.param(lambda: CidrRouting("x", (ip_network("2001:db8::/49"),)), id="v6-49"),
        pytest.param(lambda: Place(91, 0), id="latitude-91"),
    ],
)
def test_values_outside_route_53_s_ranges_are_refused(wrong):
    with pytest.raises(ValueError, match=r"is |not both"):
        wrong()


GROUPS = [
    records(a=Weighted(0), b=Weighted(5), c=Weighted(255)),
    records(a=Latency("us-west-2"), b=Latency("eu-west-1"), c=Latency("sa-east-1")),
    records(a=Geoproximity(OREGON, 20), b=Geoproximity(LOS_ANGELES), c=Geoproximity(DENVER, -30)),
    records(a=Failover("PRIMARY"), b=Failover("SECONDARY")),
    records(a=Multivalue(), b=Multivalue(), c=Multivalue()),
    records(a=FirstToken("pdx"), b=FirstToken("lax"), c=FirstToken("hnl")),
]
clients = st.builds(
    Client,
    network=st.just(ip_network("192.0.2.0/24")),
    place=st.none() | st.builds(Place, st.floats(-90, 90), st.floats(-180, 180)),
    rtt_ms=st.dictionaries(st.sampled_from(["us-west-2", "eu-west-1", "lax", "pdx"]), st.floats(0, 300)),
)


@given(st.sampled_from(GROUPS), clients, st.sets(st.sampled_from("abc")), st.integers(0, 99))
def test_an_unhealthy_one_is_never_given_while_a_healthy_one_exists(group, client, down, seed):
    given_ids = chosen(group, client, down=" ".join(down), seed=seed).split()
    everything = {record.set_id for record in group}
    assert given_ids
    assert not set(given_ids) & down or everything <= down


@given(st.sampled_from(GROUPS), clients, st.sets(st.sampled_from("abc")), st.integers(0, 99), st.randoms())
def test_equal_input_gets_an_equal_answer_in_any_order(group, client, down, seed, random):
    shuffled = random.sample(group, len(group))
    words = " ".join(sorted(down))
    assert chosen(group, client, down=words, seed=seed) == chosen(shuffled, client, down=words, seed=seed)
