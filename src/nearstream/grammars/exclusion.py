"""`oneOf`: ways that meet one alternative and none of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nearstream.grammars import admission
from nearstream.grammars.branches import Branch, Found, limited
from nearstream.grammars.document import Place
from nearstream.grammars.strings import matcher

_MOST_DEPTH = 3


def exclusive(options: Sequence[tuple[Branch, ...]], ways: Found, place: Place) -> list[Branch]:
    """The branches of all options, each held to what no other takes. Raises Invalid where they overlap."""
    found: list[Branch] = []
    for index, option in enumerate(options):
        others = [branch for at, other in enumerate(options) if at != index for branch in other]
        for branch in option:
            kept = [branch]
            for other in others:
                kept = [apart for one in kept for apart in _apart(one, other, ways, place)]
            found += kept
    return found


def _apart(one: Branch, other: Branch, ways: Found, place: Place) -> list[Branch]:
    """What of a branch the other one does not take."""
    overlap = frozenset(kind for kind in one.types & other.types if not _separate(kind, one, other, ways, 0))
    if not overlap:
        return [one]
    kept = [limited(one, one.types - overlap)] if one.types - overlap else []
    if overlap <= {"null", "boolean"} and kept:
        return kept
    objects = limited(one, frozenset({"object"}))
    missing, spare = sorted(other.required - one.required), sorted(other.forbidden - one.forbidden)
    if "object" in overlap and missing:
        return [*kept, replace(objects, forbidden=objects.forbidden | {missing[0]})]
    if "object" in overlap and spare:
        return [*kept, replace(objects, required=objects.required | {spare[0]})]
    raise place.refusal(
        "oneOf", "its alternatives overlap, so that an answer may meet several of them; use anyOf"
    )


def _separate(kind: str, one: Branch, other: Branch, ways: Found, depth: int) -> bool:
    """Whether no value of this type meets both."""
    if one.values is not None or other.values is not None:
        values, against = (one.values, other) if one.values is not None else (other.values, one)
        return not any(admission.meets(ways, against, value.value) for value in values or ())
    if kind == "number":
        return _past(one, other) or _past(other, one)
    if kind == "string":
        return _lengths_apart(
            one.min_length, one.max_length, other.min_length, other.max_length
        ) or _texts_apart(one, other)
    if kind == "array":
        return _lengths_apart(one.min_items, one.max_items, other.min_items, other.max_items)
    return kind == "object" and depth < _MOST_DEPTH and _objects_apart(one, other, ways, depth)


def _past(one: Branch, other: Branch) -> bool:
    low, high = one.low, other.high
    if low is None or high is None:
        return False
    return low.value > high.value or (low.value == high.value and (low.beyond or high.beyond))


def _lengths_apart(least: int, most: int | None, other_least: int, other_most: int | None) -> bool:
    return (most is not None and most < other_least) or (other_most is not None and other_most < least)


def _texts_apart(one: Branch, other: Branch) -> bool:
    """By patterns alone: a format may be an annotation to who looks at the answer."""
    mine = [p for p in one.patterns if p.wanted and p.keyword == "pattern"]
    theirs = [p for p in other.patterns if p.wanted and p.keyword == "pattern"]
    return any(matcher(a, wide=True).both(matcher(b, wide=True)).empty for a in mine for b in theirs)


def _objects_apart(one: Branch, other: Branch, ways: Found, depth: int) -> bool:
    return any(_names_apart(name, one, other, ways, depth) for name in sorted(one.required | other.required))


def _names_apart(name: str, one: Branch, other: Branch, ways: Found, depth: int) -> bool:
    """Whether the member of this name, which one of them requires, cannot be in both."""
    mine = ways.together(admission.member_places(one, name))
    theirs = ways.together(admission.member_places(other, name))
    return all(
        all(_separate(kind, a, b, ways, depth + 1) for kind in a.types & b.types)
        for a in mine
        for b in theirs
    )
