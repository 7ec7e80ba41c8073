"""When a check changes its mind, and when checkers together do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.edge.health.checks import BadCheck, CalculatedCheck, EndpointCheck, HealthCheck
from nearstream.edge.health.observation import Observation, failed, http_result, tcp_result
from nearstream.edge.health.verdict import quorum, verdicts

CHECK = EndpointCheck("HTTP", "192.0.2.1", 80)
GOOD, BAD = tcp_result(), failed("the connection was refused")


def minds(results: str, threshold: int) -> str:
    """`+` and `-` for each result; the mind after each."""
    mind, seen = Observation(), ""
    for result in results:
        mind = mind.after(GOOD if result == "+" else BAD, threshold=threshold)
        seen += "+" if mind.healthy else "-"
    return seen


@pytest.mark.parametrize(
    ("threshold", "results", "expected"),
    [
        (3, "---", "++-"),
        (3, "--+---", "+++++-"),
        (3, "---++-+++", "++------+"),
        (1, "-+-", "-+-"),
        (10, "-" * 10, "+" * 9 + "-"),
    ],
)
def test_a_checker_changes_its_mind_after_so_many_results_in_a_row(threshold, results, expected):
    assert minds(results, threshold) == expected


@given(st.text("+-", max_size=60), st.integers(1, 10))
def test_a_mind_changes_only_at_the_end_of_a_whole_row(results, threshold):
    seen = "+" + minds(results, threshold)
    for place in range(1, len(seen)):
        if seen[place] != seen[place - 1]:
            assert results[:place].endswith(seen[place] * threshold)


@pytest.mark.parametrize(
    ("checkers", "needed"), [(1, 1), (2, 1), (5, 1), (6, 2), (11, 2), (12, 3), (16, 3), (17, 4)]
)
def test_more_than_18_percent_of_the_checkers_are_enough(checkers, needed):
    for passing in range(checkers + 1):
        assert quorum([place < passing for place in range(checkers)]) == (passing >= needed)


def test_a_check_that_nobody_ran_yet_is_healthy():
    assert verdicts({"new": CHECK}, {}) == {"new": True}


@pytest.mark.parametrize(("threshold", "healthy"), [(0, True), (1, True), (2, True), (3, False), (4, False)])
def test_a_calculated_check_counts_its_children(threshold, healthy):
    checks: dict[str, HealthCheck] = {
        "all": CalculatedCheck(("a", "b", "c"), threshold),
        "a": CHECK,
        "b": CHECK,
        "c": CHECK,
        "not": CalculatedCheck(("all",), 1, inverted=True),
    }
    found = verdicts(checks, {"c": [False, False]})
    assert (found["all"], found["not"]) == (healthy, not healthy)


def test_a_disabled_check_is_healthy_and_an_inverted_disabled_one_is_not():
    checks = {
        "off": EndpointCheck("TCP", "192.0.2.1", 80, disabled=True),
        "turned": EndpointCheck("TCP", "192.0.2.1", 80, disabled=True, inverted=True),
    }
    assert verdicts(checks, {"off": [False], "turned": [False]}) == {"off": True, "turned": False}


def test_checks_that_depend_on_each_other_are_refused():
    ring = {"a": CalculatedCheck(("b",), 1), "b": CalculatedCheck(("a",), 1)}
    with pytest.raises(BadCheck, match="depends on itself"):
        verdicts(ring, {})


@pytest.mark.parametrize(
    ("status", "body", "search", "passed"),
    [
        (200, b"", None, True),
        (302, b"", None, True),
        (404, b"", None, False),
        (503, b"ready", "ready", False),
        (200, b"is ready", "ready", True),
        (200, b"x" * 5115 + b"ready", "ready", True),
        (200, b"x" * 5116 + b"ready", "ready", False),
    ],
)
def test_an_answer_passes_by_status_and_by_its_first_5120_bytes(status, body, search, passed):
    result = http_result(status, "OK", body, search=search)
    assert result.passed == passed
    assert result.text.startswith("Success: HTTP Status Code" if passed else "Failure: HTTP Status Code")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda: EndpointCheck("HTTP", "192.0.2.1", 80, interval_s=20), id="interval-20"),
        pytest.param(lambda: EndpointCheck("HTTP", "192.0.2.1", 80, failure_threshold=11), id="threshold-11"),
        pytest.param(lambda: EndpointCheck("HTTP", "192.0.2.1", 0), id="port-0"),
        pytest.param(lambda: EndpointCheck("HTTP", "192.0.2.1", 80, search=""), id="no-search-string"),
        pytest.param(lambda: EndpointCheck("TCP", "192.0.2.1", 80, search="ready"), id="tcp-search"),
        pytest.param(lambda: CalculatedCheck(("a",), 257), id="threshold-257"),
        pytest.param(lambda: CalculatedCheck(tuple("a" * 257), 1), id="children-257"),
    ],
)
def test_a_check_outside_route_53_s_limits_is_refused(wrong):
    with pytest.raises(BadCheck):
        wrong()
