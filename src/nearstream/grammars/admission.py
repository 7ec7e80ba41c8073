"""Whether a value that a schema writes out meets what else is asked; never yes where a validator says no."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from nearstream.grammars.branches import Branch, Found, Literal
from nearstream.grammars.document import Json, Place
from nearstream.grammars.strings import matcher

_FALSE = Place("#/\0never", False)


def admits(ways: Found, places: Iterable[Place], value: Json) -> bool:
    """Whether a value meets all these schemas."""
    return all(any(meets(ways, branch, value) for branch in ways.of(place)) for place in set(places))


def meets(ways: Found, branch: Branch, value: Json) -> bool:
    """Whether a value meets a branch."""
    kind = _kind(value)
    if kind not in branch.types or (branch.values is not None and Literal.of(value) not in branch.values):
        return False
    if kind == "number":
        return _number(branch, value)
    if kind == "string":
        return _string(branch, value)
    if kind == "array":
        return _array(ways, branch, value)
    return kind != "object" or _object(ways, branch, value)


def member_places(branch: Branch, name: str) -> tuple[Place, ...]:
    """The schemas that a member of this name has to meet; one of them takes nothing where it may not be."""
    places: list[Place] = [_FALSE] if name in branch.forbidden else []
    for members in branch.members:
        known = dict(members.named)
        matched = [inner for pattern, inner in members.patterns if matcher(pattern, wide=True).takes(name)]
        surely = any(matcher(pattern, wide=False).takes(name) for pattern, _ in members.patterns)
        places += [*([known[name]] if name in known else []), *matched]
        if name not in known and not surely and members.others is not None:
            places.append(members.others)
    return tuple(places)


def item_places(branch: Branch, index: int) -> tuple[Place, ...]:
    """The schemas that the item at this index has to meet."""
    return tuple(
        place
        for items in branch.items
        if (place := items.prefix[index] if index < len(items.prefix) else items.rest) is not None
    )


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    kinds = ((bool, "boolean"), (int | float, "number"), (str, "string"), (list, "array"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "object")


def _number(branch: Branch, value: float) -> bool:
    exact = Fraction(str(value))
    low, high = branch.low, branch.high
    if low is not None and (exact < low.value or (low.beyond and exact == low.value)):
        return False
    if high is not None and (exact > high.value or (high.beyond and exact == high.value)):
        return False
    return not branch.integral or (exact.denominator == 1 and exact.numerator % branch.multiple == 0)


def _string(branch: Branch, value: str) -> bool:
    if len(value) < branch.min_length or len(value) > (
        len(value) if branch.max_length is None else branch.max_length
    ):
        return False
    return value not in branch.excluded and all(
        matcher(pattern, wide=not pattern.wanted).takes(value) == pattern.wanted
        for pattern in branch.patterns
    )


def _array(ways: Found, branch: Branch, value: list[Any]) -> bool:
    if not branch.min_items <= len(value) <= (len(value) if branch.max_items is None else branch.max_items):
        return False
    if branch.unique and len({Literal.of(item) for item in value}) < len(value):
        return False
    if any(sum(admits(ways, (place,), item) for item in value) < least for place, least in branch.contains):
        return False
    return all(admits(ways, item_places(branch, index), item) for index, item in enumerate(value))


def _object(ways: Found, branch: Branch, value: dict[str, Any]) -> bool:
    most = len(value) if branch.max_members is None else branch.max_members
    if not branch.required <= value.keys() or not branch.min_members <= len(value) <= most:
        return False
    if branch.closed and value.keys() - {name for members in branch.members for name, _ in members.named}:
        return False
    return all(
        admits(ways, branch.names, name) and admits(ways, member_places(branch, name), inner)
        for name, inner in value.items()
    )
