"""How many failures are too many, and for how long."""

from __future__ import annotations

import pytest

from nearstream.core.rates import Rate
from nearstream.replica.lmi.error_rates import ErrorRates, kind_of


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_failure_more_than_may_be_is_too_many_until_the_window_has_passed():
    clock = Clock()
    rates = ErrorRates({"model": Rate(2, 60.0)}, clock)
    assert [rates.failed("model"), rates.failed("model"), rates.exceeded()] == [(), (), ()]
    clock.now += 30
    assert rates.failed("model") == ("model",)
    assert (rates.failed("model"), rates.exceeded()) == ((), ("model",)), "told once"
    clock.now += 59
    assert rates.exceeded() == ()
    assert rates.failed("model") == ("model",), "two of the window and this one"


def test_failures_that_are_far_apart_are_never_too_many():
    clock = Clock()
    rates = ErrorRates({"any": Rate(1, 60.0)}, clock)
    for _ in range(10):
        assert rates.failed("wlm") == ()
        clock.now += 60


def test_each_kind_has_its_own_rate_and_all_have_one_together():
    rates = ErrorRates({"wlm": Rate(1, 60.0), "any": Rate(2, 60.0)}, Clock())
    assert [rates.failed("server"), rates.failed("wlm"), rates.failed("model")] == [(), (), ("any",)]
    assert rates.failed("wlm") == ("wlm",)
    assert ErrorRates({"server": Rate(0, 1.0)}, Clock()).failed("server") == ("server",)


def test_what_has_no_rate_may_fail_for_ever():
    rates = ErrorRates({}, Clock())
    assert [rates.failed("server") for _ in range(100)] == [()] * 100


@pytest.mark.parametrize(
    ("cause", "status", "kind"),
    [
        (None, 200, None),
        (None, 400, None),
        (None, 424, "model"),
        (None, 500, "model"),
        ("overloaded", 503, "wlm"),
        ("unready", 503, "wlm"),
        ("generation", 200, "model"),
        ("generation", 424, "model"),
        ("validation", 424, None),
        ("template", 424, None),
        ("dropped", 200, None),
        ("aborted", 424, None),
        ("incomplete", 404, None),
        ("incomplete", 500, "server"),
    ],
)
def test_a_call_counts_for_what_failed_and_never_for_what_its_client_did(
    cause: str | None, status: int, kind: str | None
):
    assert kind_of(cause, status) == kind
