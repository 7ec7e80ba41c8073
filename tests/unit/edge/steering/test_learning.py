"""What a site learns of its own speed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearstream.edge.steering.coefficients import Coefficients, Regression, Work, service_ms
from nearstream.edge.steering.correction import corrected, factor
from nearstream.edge.steering.price import price_ms

START = Coefficients(20.0, 0.2)


def work(random: Random) -> Work:
    return Work(random.uniform(16, 3000), random.randint(0, 40), random.choice((0, 0, 0, 1, 4)))


@given(
    st.builds(Coefficients, st.floats(1, 60), st.floats(0.01, 1), st.floats(0, 5), st.floats(0, 60)),
    st.integers(0, 99),
)
@settings(max_examples=25)
def test_learned_coefficients_converge_to_those_of_the_hardware(true, seed):
    random, learned = Random(seed), Regression(START)
    for _ in range(600):
        one = work(random)
        learned.observe(one, service_ms(true, one) * random.uniform(0.95, 1.05))
    for _ in range(20):
        one = work(random)
        assert service_ms(learned.coefficients(), one) == pytest.approx(
            service_ms(true, one), rel=0.15, abs=8
        )


def test_hardware_that_changes_is_learned_again():
    random, learned = Random(1), Regression(START)
    for true in (Coefficients(20, 0.2, 1, 10), Coefficients(60, 0.8, 3, 30)):
        for _ in range(2500):
            one = work(random)
            learned.observe(one, service_ms(true, one))
        assert learned.coefficients().token_ms == pytest.approx(true.token_ms, rel=0.02)


def test_until_there_are_twenty_answers_the_warm_up_counts():
    learned = Regression(Coefficients.from_warm_up((16, 24.0), (512, 130.0)))
    assert learned.start.token_ms == pytest.approx(106 / 496)
    assert service_ms(learned.start, Work(512, 0, 0)) == pytest.approx(130)
    for _ in range(19):
        learned.observe(Work(100, 0, 0), 900)
    assert learned.coefficients() == learned.start
    learned.observe(Work(100, 0, 0), 900)
    assert service_ms(learned.coefficients(), Work(100, 0, 0)) == pytest.approx(900, rel=0.01)


def test_warm_up_prompts_of_one_length_are_refused():
    with pytest.raises(ValueError, match="the shorter first; these have 16 and 16"):
        Coefficients.from_warm_up((16, 20.0), (16, 20.0))


@given(st.lists(st.tuples(st.floats(1, 1e4), st.integers(0, 96), st.floats(0, 50), st.floats(0, 1e5))))
def test_no_coefficient_of_work_is_ever_negative(answers):
    learned = Regression(START)
    for tokens, running, over, actual in answers * 3:
        learned.observe(Work(tokens, running, over), actual)
    found = learned.coefficients()
    assert min(found.token_ms, found.running_ms, found.over_ms) >= 0


def test_a_feature_that_never_occurs_keeps_its_start_value_and_stays_finite():
    learned = Regression(Coefficients(20, 0.2, 0.5, 33.0))
    random = Random(3)
    for _ in range(20_000):
        learned.observe(one := Work(random.uniform(16, 900), random.randint(0, 9), 0), 10 + one.tokens)
    assert learned.coefficients().over_ms == pytest.approx(33, rel=0.05)


def test_the_correction_acts_outside_its_quiet_range_alone():
    mean = 1.0
    for _ in range(100):
        mean = corrected(mean, actual_ms=110, predicted_ms=100)
    assert factor(mean) == 1.0
    for _ in range(20):
        mean = corrected(mean, actual_ms=400, predicted_ms=100)
    assert factor(mean) == mean > 3


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), max_size=60))
def test_the_correction_stays_in_its_bounds(answers):
    mean = 1.0
    for actual, predicted in answers:
        mean = corrected(mean, actual_ms=actual, predicted_ms=predicted)
    assert 0.4 <= factor(mean) <= 6


def test_the_price_is_full_at_half_the_slots_and_nothing_when_idle():
    assert price_ms(0.2, 100, running=0, slots=24) == 0
    assert price_ms(0.2, 100, running=6, slots=24) == pytest.approx(0.7 * 20 / 2)
    assert price_ms(0.2, 100, running=12, slots=24) == price_ms(0.2, 100, running=24, slots=24)
