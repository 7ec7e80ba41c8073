"""Typical decoding against the definition of it, written out as Hugging Face's warpers have it."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.contract.engines.warped import ROUNDING, warped

from nearstream.engines.openvino.frames import Options
from nearstream.engines.openvino.typical import chosen, wider

MODEL = {7: 0.4, 3: 0.3, 5: 0.15, 9: 0.1, 1: 0.05}
"""A model's five likeliest tokens; it is almost sure that it is one of these."""
LOGPROBS = {token: math.log(share) for token, share in MODEL.items()}


def drawn(logprobs: dict[int, float], options: Options, *, times: int) -> list[int]:
    told = len(logprobs)
    return [chosen(logprobs, options, position=n, vocabulary=told) or 0 for n in range(times)]


def test_a_likely_token_that_says_too_little_is_left_out():
    """1.39 nats are to be expected: the share of 0.3 says 1.20 of them, 0.4 says 0.92, 0.15 says 1.90."""
    for mass, kept in ((0.2, {3}), (0.31, {3, 7}), (0.75, {3, 7, 5})):
        assert set(drawn(LOGPROBS, Options(1, typical_p=mass), times=100)) == kept


def test_tokens_are_drawn_as_often_as_they_are_likely():
    options = Options(1, temperature=0.8, top_p=0.95, typical_p=0.95)
    wanted = warped(LOGPROBS, options)
    found = drawn(LOGPROBS, options, times=20_000)
    assert set(found) == set(wanted)
    for token, share in wanted.items():
        assert abs(found.count(token) / len(found) - share) < 0.015


def test_the_same_seed_and_position_choose_alike_and_others_differ():
    options = Options(1, seed=2**64 - 1, typical_p=0.99)
    assert drawn(LOGPROBS, options, times=50) == drawn(dict(reversed(LOGPROBS.items())), options, times=50)
    assert drawn(LOGPROBS, options, times=50) != drawn(LOGPROBS, Options(1, seed=1, typical_p=0.99), times=50)


SHARES = st.lists(st.floats(1e-6, 1), min_size=1, max_size=12)


@given(SHARES, st.floats(0.05, 5), st.floats(0.01, 1), st.floats(0.01, 0.99), st.integers(0, 2**64 - 1))
@settings(deadline=None)
def test_whatever_is_asked_for_one_of_the_tokens_that_are_left_is_drawn(
    shares: list[float], temperature: float, top_p: float, typical_p: float, seed: int
):
    logprobs = {token: math.log(share / sum(shares)) for token, share in enumerate(shares)}
    options = Options(1, temperature=temperature, top_p=top_p, typical_p=typical_p, seed=seed)
    allowed = replace(options, top_p=min(top_p + ROUNDING, 1), typical_p=typical_p + ROUNDING)
    assert chosen(logprobs, options, position=0, vocabulary=len(shares)) in warped(logprobs, allowed)


@given(
    st.lists(st.integers(20, 100), min_size=2, max_size=12).map(lambda shares: sorted(shares, reverse=True)),
    st.integers(1, 12),
    st.floats(0.5, 1),
    st.floats(0.01, 0.99),
)
@settings(deadline=None)
def test_a_choice_among_some_tokens_is_the_choice_among_all_or_none(
    shares: list[float], told: int, temperature: float, top_p: float
):
    logprobs = {token: math.log(share / sum(shares)) for token, share in enumerate(shares)}
    seen = dict(list(logprobs.items())[:told])
    options = Options(1, temperature=temperature, top_p=top_p, typical_p=0.9)
    for position in range(5):
        found = chosen(seen, options, position=position, vocabulary=len(shares))
        assert found in {None, chosen(logprobs, options, position=position, vocabulary=len(shares))}


def test_few_tokens_do_where_they_surely_hold_the_nucleus():
    """Of 100 others with 0.1 in all, none can be in a nucleus of 0.85."""
    seen = {token: LOGPROBS[token] for token in (7, 3, 5)} | {9: math.log(0.05)}
    options = Options(1, temperature=0.8, top_p=0.85, typical_p=0.95)
    assert chosen(seen, options, position=0, vocabulary=104) in {7, 3, 5}
    assert chosen(seen, replace(options, top_p=0.97), position=0, vocabulary=104) is None
    assert chosen(seen, replace(options, top_p=1.0), position=0, vocabulary=104) is None
    assert chosen(seen, replace(options, top_p=1.0, top_k=4), position=0, vocabulary=104) in seen


LOGITS = st.lists(st.integers(-20, 20), min_size=1, max_size=12, unique=True)


@given(LOGITS, st.integers(-9, 9), st.floats(0.1, 3), st.integers(0, 2**64 - 1))
@settings(deadline=None)
def test_of_the_whole_top_k_proportions_are_enough(
    logits: list[int], missing: int, temperature: float, seed: int
):
    few = len(logits)
    options = Options(1, temperature=temperature, top_p=0.95, top_k=few, typical_p=0.9, seed=seed)
    told, lacking = dict(enumerate(logits)), {n: logit - missing for n, logit in enumerate(logits)}
    found = chosen(lacking, options, position=0, vocabulary=9999)
    loose = replace(options, top_p=0.95 + ROUNDING, typical_p=0.9 + ROUNDING)
    assert found in warped(told, loose)


def test_a_temperature_near_zero_takes_the_likeliest():
    options = Options(1, temperature=1e-4, top_p=0.95, typical_p=0.95)
    assert chosen(LOGPROBS, options, position=0, vocabulary=10_000) == 7


def test_a_search_is_as_wide_as_it_has_to_be():
    assert [wider(Options(1, top_p=0.9), width) for width in (0, 32, 256, 2048)] == [32, 256, 2048, None]
    assert [wider(Options(1, top_p=0.9, top_k=40), width) for width in (0, 32, 40)] == [32, 40, None]
    assert [wider(Options(1, top_k=40), width) for width in (0, 40)] == [40, None]
    penalised = Options(1, top_p=0.9, top_k=40, repetition_penalty=1.03)
    assert [wider(penalised, width) for width in (0, 40)] == [40, None]
    assert [wider(Options(1, top_p=0.9, top_k=3), width) for width in (0, 3)] == [3, None]
