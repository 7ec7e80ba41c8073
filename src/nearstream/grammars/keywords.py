"""What each keyword of a JSON schema that offers no choice asks of a value.

JSON Schema 2020-12 and what older drafts and OpenAPI 3.0 say otherwise: `items` as a list, bounds that are
exclusive by a boolean, `definitions`. Keywords that are known and not expressed here are refused by name;
unknown ones are annotations, as the specification has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from nearstream.grammars.branches import TYPES, Branch, Items, Literal, Members, Pattern
from nearstream.grammars.document import Json, Place
from nearstream.grammars.negation import EXCLUDED, FORBIDDEN, UNPATTERN
from nearstream.grammars.numerals import Bound
from nearstream.grammars.string_formats import FORMATS

REFUSED: Mapping[str, str] = {
    "$dynamicRef": "dynamic references are not supported; use $ref",
    "$recursiveRef": "dynamic references are not supported; use $ref",
    "maxContains": "is not supported",
    "unevaluatedItems": "is not supported; use items",
    "disallow": "is of a draft that is not supported; use not",
    "extends": "is of a draft that is not supported; use allOf",
    "divisibleBy": "is of a draft that is not supported; use multipleOf",
}


def text(place: Place, keyword: str, value: Json) -> str:
    if not isinstance(value, str):
        raise place.refusal(keyword, "must be a string")
    return value


def count(place: Place, keyword: str, value: Json) -> int:
    """A number of things. 3.0 is 3."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise place.refusal(keyword, "must be a whole number that is not negative")
    return value


def names(place: Place, keyword: str, value: Json) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise place.refusal(keyword, "must be a list of strings")
    return frozenset(value)


def schemas(place: Place, keyword: str, value: Json) -> tuple[Place, ...]:
    if not isinstance(value, list):
        raise place.refusal(keyword, "must be a list of schemas")
    return tuple(place.inner(keyword, index, schema=inner) for index, inner in enumerate(value))


def named(place: Place, keyword: str, value: Json) -> tuple[tuple[str, Place], ...]:
    if not isinstance(value, dict):
        raise place.refusal(keyword, "must be an object of schemas")
    return tuple((name, place.inner(keyword, name, schema=inner)) for name, inner in value.items())


def own(place: Place, schema: dict[str, Any]) -> list[Branch]:
    """What the keywords of this schema itself ask, one branch for each."""
    for keyword, why in REFUSED.items():
        if keyword in schema and schema[keyword] is not True:
            raise place.refusal(keyword, why)
    return [read(place, value) for key, value in schema.items() if (read := _READERS.get(key))] + [
        whole
        for build in (_bounds, _items, _members, _contains)
        if (whole := build(place, schema)) is not None
    ]


def _type(place: Place, value: Json) -> Branch:
    kinds = value if isinstance(value, list) else [value]
    known = TYPES | {"integer"}
    if not kinds or not all(isinstance(kind, str) and kind in known for kind in kinds):
        raise place.refusal("type", f"must be one of {', '.join(sorted(known))}, or a list of them")
    types = frozenset("number" if kind == "integer" else kind for kind in kinds)
    return Branch(types=types, integral="integer" in kinds and "number" not in kinds)


def _enum(place: Place, value: Json) -> Branch:
    if not isinstance(value, list) or not value:
        raise place.refusal("enum", "must be a list of values")
    return Branch(values=tuple(dict.fromkeys(map(Literal.of, value))))


def _const(_: Place, value: Json) -> Branch:
    return Branch(values=(Literal.of(value),))


def _multiple(place: Place, value: Json) -> Branch:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value <= 0
    ):
        raise place.refusal("multipleOf", "must be a number above 0")
    fraction = Fraction(str(value))
    if fraction.numerator == 1 and fraction.denominator == 1:
        return Branch(types=TYPES, multiple=1, integral=True)
    if fraction.denominator != 1:
        raise place.refusal("multipleOf", f"{value} is not supported; only whole numbers are")
    return Branch(multiple=fraction.numerator, integral=True)


def _format(place: Place, value: Json) -> Branch:
    """An unknown one, and one that cannot be said by a pattern, is an annotation."""
    name = text(place, "format", value)
    return Branch(patterns=frozenset({Pattern(name, place, "format")})) if name in FORMATS else Branch()


def _unique(place: Place, value: Json) -> Branch:
    if not isinstance(value, bool):
        raise place.refusal("uniqueItems", "must be true or false")
    return Branch(unique=place if value else None)


def _property_names(place: Place, value: Json) -> Branch:
    return Branch(names=frozenset({place.inner("propertyNames", schema=value)}))


def _unevaluated(place: Place, value: Json) -> Branch:
    """Members that are not named are not written anyway, but where a schema asks for them."""
    if value is True:
        return Branch()
    if value is not False or place.pointer != "#" or _CONDITIONAL.intersection(_keys(place.schema)):
        raise place.refusal(
            "unevaluatedProperties",
            "is supported as false, at the root of a schema without conditions; use additionalProperties",
        )
    return Branch(closed=True)


def _keys(found: Json) -> Iterator[str]:
    if isinstance(found, dict):
        yield from found
    for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from _keys(inner)


_CONDITIONAL = frozenset({"not", "if", "dependentSchemas", "dependencies"})
_READERS: dict[str, Callable[[Place, Any], Branch]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "multipleOf": _multiple,
    "minLength": lambda place, value: Branch(min_length=count(place, "minLength", value)),
    "maxLength": lambda place, value: Branch(max_length=count(place, "maxLength", value)),
    "pattern": lambda place, value: Branch(
        patterns=frozenset({Pattern(text(place, "pattern", value), place)})
    ),
    "format": _format,
    "minItems": lambda place, value: Branch(min_items=count(place, "minItems", value)),
    "maxItems": lambda place, value: Branch(max_items=count(place, "maxItems", value)),
    "uniqueItems": _unique,
    "required": lambda place, value: (
        Branch() if isinstance(value, bool) else Branch(required=names(place, "required", value))
    ),
    "minProperties": lambda place, value: Branch(
        min_members=count(place, "minProperties", value), sparse=place
    ),
    "maxProperties": lambda place, value: Branch(max_members=count(place, "maxProperties", value)),
    "propertyNames": _property_names,
    "unevaluatedProperties": _unevaluated,
    FORBIDDEN: lambda _, name: Branch(forbidden=frozenset({name})),
    EXCLUDED: lambda _, name: Branch(excluded=frozenset({name})),
    UNPATTERN: lambda place, pattern: Branch(
        patterns=frozenset({Pattern(text(place, "pattern", pattern), place, wanted=False)})
    ),
}


def _bounds(place: Place, schema: dict[str, Any]) -> Branch | None:
    low, high = _bound(place, schema, "minimum"), _bound(place, schema, "maximum")
    beyond_low, beyond_high = (
        _bound(place, schema, "exclusiveMinimum"),
        _bound(place, schema, "exclusiveMaximum"),
    )
    if low and schema.get("exclusiveMinimum") is True:
        low = Bound(low.value, beyond=True)
    if high and schema.get("exclusiveMaximum") is True:
        high = Bound(high.value, beyond=True)
    lows = [bound for bound in (low, beyond_low) if bound]
    highs = [bound for bound in (high, beyond_high) if bound]
    if not lows and not highs:
        return None
    return Branch(
        low=max(lows, key=lambda bound: (bound.value, bound.beyond), default=None),
        high=min(highs, key=lambda bound: (bound.value, not bound.beyond), default=None),
    )


def _bound(place: Place, schema: dict[str, Any], keyword: str) -> Bound | None:
    value = schema.get(keyword)
    exclusive = keyword.startswith("exclusive")
    if keyword not in schema or (exclusive and isinstance(value, bool)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise place.refusal(keyword, "must be a number")
    return Bound(Fraction(str(value)), beyond=exclusive)


def _items(place: Place, schema: dict[str, Any]) -> Branch | None:
    items, prefix = schema.get("items"), schema.get("prefixItems", [])
    rest = "items"
    first = schemas(place, "prefixItems", prefix)
    if isinstance(items, list):
        first, items, rest = schemas(place, "items", items), schema.get("additionalItems"), "additionalItems"
    others = None if items is None else place.inner(rest, schema=items)
    return Branch(items=(Items(first, others),)) if first or others else None


def _members(place: Place, schema: dict[str, Any]) -> Branch | None:
    properties = named(place, "properties", schema.get("properties", {}))
    patterns = tuple(
        (Pattern(source, place, "patternProperties"), inner)
        for source, inner in named(place, "patternProperties", schema.get("patternProperties", {}))
    )
    others = schema.get("additionalProperties")
    rest = None if others is None else place.inner("additionalProperties", schema=others)
    if not properties and not patterns and rest is None and "properties" not in schema:
        return None
    return Branch(members=(Members(properties, patterns, rest),))


def _contains(place: Place, schema: dict[str, Any]) -> Branch | None:
    if "contains" not in schema:
        return None
    least = count(place, "minContains", schema.get("minContains", 1))
    return Branch(contains=((place.inner("contains", schema=schema["contains"]), least),)) if least else None
