"""Policies are pure: same candidates, same session, same choice."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.fleet.fleets import replica, variant

from nearstream.fleet.policies import Candidate, by_weight, least_busy

CANDIDATES = st.lists(
    st.tuples(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 9)),
    min_size=2,
    max_size=6,
    unique_by=lambda one: one[0],
).map(lambda pairs: [Candidate(replica(name), busy) for name, busy in pairs])


@given(CANDIDATES, st.randoms())
def test_nobody_is_less_busy_than_the_least_busy(candidates: list[Candidate], order: Random) -> None:
    chosen = least_busy(candidates, None)
    assert min(one.in_flight for one in candidates) == next(
        one.in_flight for one in candidates if one.replica is chosen
    )
    order.shuffle(candidates)
    assert least_busy(candidates, None) == chosen


@given(CANDIDATES, st.text(), st.randoms())
def test_a_session_moves_only_when_its_own_replica_goes(
    candidates: list[Candidate], session: str, order: Random
) -> None:
    chosen = least_busy(candidates, session)
    gone = order.choice(candidates)
    rest = [one for one in candidates if one is not gone]
    assert (least_busy(rest, session) == chosen) == (gone.replica != chosen)


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=5), st.text() | st.none(), st.randoms())
def test_only_variants_with_a_weight_are_chosen(
    weights: list[float], session: str | None, random: Random
) -> None:
    variants = [variant(str(place), weight) for place, weight in enumerate(weights)]
    chosen = by_weight(variants, session, random.random)
    assert (chosen is None) == (not any(weights))
    assert chosen is None or chosen.weight > 0
