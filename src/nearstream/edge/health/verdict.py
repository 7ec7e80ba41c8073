"""Whether a check is healthy, from what all checkers see: more than 18 % of them are enough.

So one of up to five checkers is enough, two of six to eleven. A calculated check counts its children.
Disabled is healthy, and then inverted turns the verdict round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nearstream.edge.health.checks import BadCheck, CalculatedCheck, HealthCheck

QUORUM_PERCENT = 18


def quorum(minds: Sequence[bool]) -> bool:
    """Healthy for more than 18 % of the checkers; with no checker yet, healthy."""
    return not minds or 100 * sum(minds) > QUORUM_PERCENT * len(minds)


def verdicts(checks: Mapping[str, HealthCheck], minds: Mapping[str, Sequence[bool]]) -> dict[str, bool]:
    """By id: healthy or not. `minds` has, by id, what each checker thinks. BadCheck when checks depend on
    each other.
    """
    found: dict[str, bool] = {}
    for name in checks:
        _judge(name, checks, minds, found, ())
    return found


def _judge(
    name: str,
    checks: Mapping[str, HealthCheck],
    minds: Mapping[str, Sequence[bool]],
    found: dict[str, bool],
    above: tuple[str, ...],
) -> bool:
    if name in found:
        return found[name]
    if name in above:
        raise BadCheck(f"the calculated health check {name} depends on itself")
    check = checks.get(name)
    if check is None:
        # A child that was deleted does not count.
        return False
    if check.disabled:
        healthy = True
    elif isinstance(check, CalculatedCheck):
        children = [_judge(child, checks, minds, found, (*above, name)) for child in check.children]
        healthy = sum(children) >= check.threshold
    else:
        healthy = quorum(minds.get(name, ()))
    found[name] = healthy != check.inverted
    return found[name]
