"""The budget of starts: how many replicas of a variant may begin within a minute."""

from __future__ import annotations

from tests.unit.fleet.fleets import spec

from nearstream.fleet.starts import STARTS, StartBudget


def test_no_more_than_the_budget_start_in_a_minute_and_more_after_it():
    budget, wanted = StartBudget(), spec()
    taken = [budget.take(wanted, instances=1, now=at / 100) for at in range(200)]
    assert sum(taken) == STARTS
    assert not budget.take(wanted, instances=1, now=59.9)
    assert budget.take(wanted, instances=1, now=60.1)


def test_a_variant_of_many_instances_may_start_all_of_them():
    budget, wanted = StartBudget(), spec()
    assert all(budget.take(wanted, instances=40, now=0.0) for _ in range(40))


def test_another_configuration_has_a_budget_of_its_own():
    budget = StartBudget(starts=1)
    assert budget.take(spec(), instances=0, now=0.0)
    assert budget.take(spec(config="other"), instances=0, now=0.0)
