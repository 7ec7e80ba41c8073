"""Which site a request goes to: properties that hold for any sites, and the reasons that are given."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.edge.steering.choice import NoSite, choose, second_look
from nearstream.edge.steering.coefficients import Coefficients
from nearstream.edge.steering.views import Ask, CachedPrefix, ReplicaView, SiteView

NOW_MS = 100_000.0
FLAT = Coefficients(20.0, 0.2, 0.5, 30.0)
NAMES = ("hnl", "lax", "pdx", "phx", "den")

numbers = st.floats(0, 5000, allow_nan=False)
replicas = st.builds(
    ReplicaView,
    id=st.sampled_from("0123"),
    slots=st.integers(1, 96),
    running=st.integers(0, 96),
    waiting=st.integers(0, 20),
    queued_tokens=numbers,
    cache_horizon_ms=st.floats(0, 600_000),
)
coefficients = st.builds(Coefficients, st.floats(0, 60), st.floats(0, 2), st.floats(0, 5), st.floats(0, 100))
views = st.lists(
    st.builds(
        SiteView,
        site=st.sampled_from(NAMES),
        taken_at_ms=st.just(NOW_MS),
        coefficients=coefficients,
        replicas=st.lists(replicas, min_size=1, max_size=3, unique_by=lambda one: one.id).map(tuple),
        healthy=st.booleans(),
        correction=st.floats(0.4, 6),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda view: view.site,
)
prefixes = st.builds(CachedPrefix, tokens=numbers, at_ms=st.floats(0, NOW_MS))
asks = st.builds(
    Ask,
    tokens=st.floats(1, 8000),
    network_ms=st.fixed_dictionaries({name: st.floats(0, 200) for name in NAMES}),
    cached=st.dictionaries(
        st.sampled_from(NAMES), st.dictionaries(st.sampled_from("0123"), st.tuples(prefixes), max_size=2)
    ),
    shared_tokens=st.floats(0, 500),
    entry=st.sampled_from([*NAMES, None]),
    last_site=st.sampled_from([*NAMES, None]),
)
sends = st.dictionaries(st.sampled_from(NAMES), numbers)


def chosen(ask: Ask, all_views: list[SiteView], own: dict[str, float] | None = None):
    return choose(ask, all_views, own_sends=own or {}, now_ms=NOW_MS)


def idle(site: str, **changes) -> SiteView:
    return replace(SiteView(site, NOW_MS, FLAT, (ReplicaView("0", slots=24),)), **changes)


def score_of(site: str, ask: Ask, all_views: list[SiteView], own: dict[str, float] | None = None) -> float:
    everyone = [replace(view, healthy=True) for view in all_views]
    return next(one.score_ms for one in chosen(ask, everyone, own).scores if one.site == site)


@given(asks, views, sends)
def test_an_unhealthy_site_is_never_chosen_while_a_healthy_one_exists(ask, all_views, own):
    health = {view.site: view.healthy for view in all_views}
    assert health[chosen(ask, all_views, own).site] or not any(health.values())


@given(asks, views, sends, st.randoms())
def test_the_same_input_in_any_order_gets_the_same_answer(ask, all_views, own, random):
    shuffled = random.sample(all_views, len(all_views))
    assert chosen(ask, all_views, own) == chosen(ask, shuffled, own)


@given(asks, views, sends)
def test_the_chosen_site_is_within_a_tie_of_the_least_score(ask, all_views, own):
    decision = chosen(ask, all_views, own)
    assert decision.chosen.score_ms - min(one.score_ms for one in decision.scores) < 2.0


@given(asks, views, st.sampled_from(NAMES), st.floats(0, 500))
def test_a_score_never_falls_with_the_round_trip(ask, all_views, site, more):
    slower = replace(ask, network_ms={**ask.network_ms, site: ask.network_ms[site] + more})
    for view in all_views:
        assert score_of(view.site, slower, all_views) >= score_of(view.site, ask, all_views)


@given(asks, views, st.floats(0, 5000), st.integers(0, 9), st.integers(0, 9))
def test_a_score_never_falls_with_the_queue(ask, all_views, tokens, running, waiting):
    busier = [
        replace(
            view,
            replicas=tuple(
                replace(
                    one,
                    queued_tokens=one.queued_tokens + tokens,
                    running=one.running + running,
                    waiting=one.waiting + waiting,
                )
                for one in view.replicas
            ),
        )
        for view in all_views
    ]
    for view in all_views:
        least = score_of(view.site, ask, all_views)
        assert score_of(view.site, ask, busier) >= least - 1e-9 * least


@given(asks, views, sends, st.floats(0, 5000))
def test_a_score_never_falls_with_the_uncached_tokens_or_with_own_sends(ask, all_views, own, more):
    longer = replace(ask, tokens=ask.tokens + more)
    sent = {name: own.get(name, 0.0) + more for name in NAMES}
    for view in all_views:
        least = score_of(view.site, ask, all_views, own) * (1 - 1e-9)
        assert score_of(view.site, longer, all_views, own) >= least
        assert score_of(view.site, ask, all_views, sent) >= least


@given(asks, views, sends)
def test_the_parts_of_a_score_add_up(ask, all_views, own):
    for one in chosen(ask, all_views, own).scores:
        parts = one.network_ms + one.queue_ms + one.prefill_ms + one.price_ms
        assert one.score_ms == pytest.approx(parts)
        assert one.predicted_ms >= one.network_ms + 0.999


def test_scores_that_are_equal_go_to_the_last_site_then_to_the_entry_then_by_name():
    near = {"lax": 10.0, "pdx": 11.5, "phx": 11.9}
    sites = [idle(name) for name in near]
    assert chosen(Ask(100, near, last_site="phx", entry="pdx"), sites).site == "phx"
    assert chosen(Ask(100, near, last_site="hnl", entry="pdx"), sites).site == "pdx"
    assert chosen(Ask(100, near), sites).site == "lax"


@pytest.mark.parametrize(
    ("reason", "site", "ask", "sites"),
    [
        ("near", "lax", Ask(100, {"lax": 5, "pdx": 30}), [idle("lax"), idle("pdx")]),
        (
            "queue",
            "pdx",
            Ask(100, {"lax": 5, "pdx": 30}),
            [idle("lax", replicas=(ReplicaView("0", slots=24, queued_tokens=900),)), idle("pdx")],
        ),
        (
            "prefix",
            "pdx",
            Ask(900, {"lax": 5, "pdx": 30}, cached={"pdx": {"0": (CachedPrefix(800, NOW_MS - 1),)}}),
            [idle("lax"), idle("pdx")],
        ),
        (
            "speed",
            "pdx",
            Ask(900, {"lax": 5, "pdx": 30}),
            [idle("lax"), idle("pdx", coefficients=Coefficients(10, 0.05))],
        ),
        ("health", "pdx", Ask(100, {"lax": 5, "pdx": 30}), [idle("lax", healthy=False), idle("pdx")]),
    ],
)
def test_a_decision_says_what_the_site_has_over_the_nearest_one(reason, site, ask, sites):
    decision = chosen(ask, sites)
    assert (decision.site, decision.reason) == (site, reason)


def test_the_line_that_explains_a_decision_fits_into_a_header():
    decision = chosen(Ask(205, {"lax": 31, "pdx": 70}), [idle("lax"), idle("pdx")])
    assert decision.why() == "lax 92 ms = net 31 + queue 0 + prefill 61; next pdx 131; near"


def test_a_prefix_that_has_left_the_cache_counts_as_the_system_prompt_alone():
    old = {"lax": {"0": (CachedPrefix(800, NOW_MS - 60_000),)}}
    site = idle("lax", replicas=(ReplicaView("0", slots=24, cache_horizon_ms=30_000),))
    ask = Ask(900, {"lax": 5}, cached=old, shared_tokens=300)
    assert chosen(ask, [site]).chosen.uncached_tokens == 600
    fresh = replace(site, replicas=(ReplicaView("0", slots=24, cache_horizon_ms=90_000),))
    assert chosen(ask, [fresh]).chosen.uncached_tokens == 100


def test_a_site_that_cannot_be_reached_or_has_no_replica_is_no_candidate():
    assert chosen(Ask(100, {"pdx": 90}), [idle("lax"), idle("pdx"), idle("hnl", replicas=())]).site == "pdx"
    with pytest.raises(NoSite, match="no site has a replica"):
        chosen(Ask(100, {"lax": 5}), [idle("lax", replicas=())])


def test_a_target_hands_on_only_for_a_clear_gain():
    def full(tokens: float) -> SiteView:
        return idle("lax", replicas=(ReplicaView("0", slots=24, queued_tokens=tokens),))

    ask = Ask(100, {"lax": 0, "pdx": 30})

    def look(*sites: SiteView) -> str | None:
        return second_look(ask, sites, here="lax", own_sends={}, now_ms=NOW_MS)

    # There: 30 + 40 = 70 ms; here it must be more than 70 * 1.3 + 5 = 96.
    assert look(full(275), idle("pdx")) is None
    assert look(full(285), idle("pdx")) == "pdx"
    assert look(full(9000), idle("pdx", healthy=False)) is None
    assert look(full(9000)) is None
