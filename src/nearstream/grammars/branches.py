"""What one way of meeting a schema asks of a value: what all schemas that apply say, with no choices left."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from math import lcm
from typing import Any, Protocol

from nearstream.grammars.document import Json, Place
from nearstream.grammars.numerals import Bound

TYPES = frozenset({"null", "boolean", "number", "string", "array", "object"})


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that is to be found in a text, or not to be. `whole`: in the words of a format."""

    source: str
    place: Place
    keyword: str = "pattern"
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class Items:
    """What one schema says of an array's items: of the first ones each, of those that follow."""

    prefix: tuple[Place, ...]
    rest: Place | None


@dataclass(frozen=True, slots=True)
class Members:
    """What one schema says of an object's members: by name, by a pattern of the name, of all others."""

    named: tuple[tuple[str, Place], ...] = ()
    patterns: tuple[tuple[Pattern, Place], ...] = ()
    others: Place | None = None


@dataclass(frozen=True, slots=True)
class Literal:
    """A JSON value, equal to another as JSON schema has it: 1 is 1.0 and is not true."""

    key: Json
    value: Json

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @classmethod
    def of(cls, value: Json) -> Literal:
        return cls(_key(value), value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Each type's keywords ask something of values of that type alone."""

    types: frozenset[str] = TYPES
    integral: bool = False
    values: tuple[Literal, ...] | None = None
    low: Bound | None = None
    high: Bound | None = None
    multiple: int = 1
    min_length: int = 0
    max_length: int | None = None
    patterns: frozenset[Pattern] = frozenset()
    excluded: frozenset[str] = frozenset()
    items: tuple[Items, ...] = ()
    min_items: int = 0
    max_items: int | None = None
    unique: Place | None = None
    contains: tuple[tuple[Place, int], ...] = ()
    members: tuple[Members, ...] = ()
    required: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    names: frozenset[Place] = frozenset()
    min_members: int = 0
    max_members: int | None = None
    sparse: Place | None = None
    """Who asks for so many members, named in a refusal."""
    closed: bool = False
    """No members but those that are named."""

    @property
    def possible(self) -> bool:
        """False where it is plain that no value meets it."""
        return bool(self.types) and self.values != ()


class Found(Protocol):
    """The branches of places: what `Ways` finds."""

    def of(self, place: Place) -> tuple[Branch, ...]: ...

    def together(self, places: Iterable[Place]) -> tuple[Branch, ...]: ...


def merged(one: Branch, other: Branch) -> Branch:
    """What both ask."""
    return Branch(
        **{name: merge(getattr(one, name), getattr(other, name)) for name, merge in _MERGES.items()}
    )


def limited(branch: Branch, types: frozenset[str]) -> Branch:
    return replace(branch, types=branch.types & types)


def _key(value: Json) -> Json:
    if isinstance(value, bool) or value is None:
        return ("constant", value)
    if isinstance(value, list):
        return ("array", tuple(map(_key, value)))
    if isinstance(value, dict):
        return ("object", frozenset((name, _key(inner)) for name, inner in value.items()))
    return value


def _common(one: tuple[Literal, ...] | None, other: tuple[Literal, ...] | None) -> tuple[Literal, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    known = set(other)
    return tuple(value for value in one if value in known)


def _lowest(one: Bound | None, other: Bound | None) -> Bound | None:
    return _tighter(one, other, lambda a, b: a.value > b.value)


def _highest(one: Bound | None, other: Bound | None) -> Bound | None:
    return _tighter(one, other, lambda a, b: a.value < b.value)


def _tighter(one: Bound | None, other: Bound | None, first: Callable[[Bound, Bound], bool]) -> Bound | None:
    if one is None or other is None:
        return other if one is None else one
    if one.value == other.value:
        return one if one.beyond else other
    return one if first(one, other) else other


def _least(one: int | None, other: int | None) -> int | None:
    return min((n for n in (one, other) if n is not None), default=None)


def _joined(one: tuple[Json, ...], other: tuple[Json, ...]) -> tuple[Json, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def _either(one: Json, other: Json) -> Json:
    return one or other


_MERGES: dict[str, Callable[[Any, Any], Any]] = {
    "types": operator.and_,
    "integral": operator.or_,
    "values": _common,
    "low": _lowest,
    "high": _highest,
    "multiple": lcm,
    "min_length": max,
    "max_length": _least,
    "patterns": operator.or_,
    "excluded": operator.or_,
    "items": _joined,
    "min_items": max,
    "max_items": _least,
    "unique": _either,
    "contains": _joined,
    "members": _joined,
    "required": operator.or_,
    "forbidden": operator.or_,
    "names": operator.or_,
    "min_members": max,
    "max_members": _least,
    "sparse": _either,
    "closed": operator.or_,
}
if _MERGES.keys() != {field.name for field in fields(Branch)}:  # pragma: no cover - a mistake of ours
    raise TypeError("each part of a Branch needs its merge")
