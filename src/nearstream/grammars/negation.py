"""The schema of all that a schema turns away, as far as that can be said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nearstream.core.errors import Invalid
from nearstream.grammars.document import Json, Place, Schema

FORBIDDEN = "\0forbidden"
"""Keywords of our own, which no document can hold: a name that no member has, …"""
UNPATTERN = "\0pattern"
EXCLUDED = "\0excluded"
_TYPES = frozenset({"null", "boolean", "number", "string", "array", "object"})
_MIRRORED = {
    "minimum": ("number", "exclusiveMaximum", 0),
    "maximum": ("number", "exclusiveMinimum", 0),
    "exclusiveMinimum": ("number", "maximum", 0),
    "exclusiveMaximum": ("number", "minimum", 0),
    "minLength": ("string", "maxLength", -1),
    "maxLength": ("string", "minLength", 1),
    "minItems": ("array", "maxItems", -1),
    "maxItems": ("array", "minItems", 1),
    "minProperties": ("object", "maxProperties", -1),
    "maxProperties": ("object", "minProperties", 1),
}


def negated(place: Place, keyword: str, *, ignored: frozenset[str]) -> Schema:
    """A schema that takes what the one at `place` does not. Raises Invalid in the name of `keyword`."""
    if isinstance(place.schema, bool):
        return not place.schema
    ways: list[Schema] = []
    for key, value in place.schema.items():
        if key in ignored:
            continue
        ways.append(_denied(key, value, place, keyword))
    return {"anyOf": ways} if ways else False


def _denied(key: str, value: Json, place: Place, keyword: str) -> Schema:
    if key in _MIRRORED and isinstance(value, int | float) and not isinstance(value, bool):
        kind, mirror, step = _MIRRORED[key]
        return {"type": kind, mirror: value + step} if value + step >= 0 or not step else False
    deny = _DENIALS.get(key)
    if deny is None:
        raise place.refusal(key, f"is not supported inside `{keyword}`")
    try:
        return deny(value)
    except (TypeError, AttributeError, ValueError):
        raise place.refusal(key, f"is not supported inside `{keyword}` as it is written") from None


def _not(schema: Json) -> Schema:
    return {"not": schema}


def _type(kinds: Json) -> Schema:
    named = {kinds} if isinstance(kinds, str) else set(kinds)
    if "integer" in named and "number" not in named:
        raise ValueError(kinds)
    return {"type": sorted(_TYPES - named)} if _TYPES - named else False


def _enum(values: list[Any]) -> Schema:
    ways: list[Schema] = []
    for value in values:
        if isinstance(value, list | dict):
            raise TypeError(value)
        ways.append(_unlike(value))
    return {"allOf": ways}


def _unlike(value: Json) -> Schema:
    if isinstance(value, str):
        return {EXCLUDED: value}
    if value is None:
        return {"type": sorted(_TYPES - {"null"})}
    if isinstance(value, bool):
        return {"anyOf": [{"type": sorted(_TYPES - {"boolean"})}, {"const": not value}]}
    others = {"type": sorted(_TYPES - {"number"})}
    return {
        "anyOf": [
            others,
            {"type": "number", "exclusiveMinimum": value},
            {"type": "number", "exclusiveMaximum": value},
        ]
    }


def _required(names: list[str]) -> Schema:
    return {"type": "object", "anyOf": [{FORBIDDEN: name} for name in names]} if names else False


def _properties(named: dict[str, Any]) -> Schema:
    ways = [{"required": [name], "properties": {name: _not(inner)}} for name, inner in named.items()]
    return {"type": "object", "anyOf": ways} if ways else False


def _all_of(schemas: list[Any]) -> Schema:
    return {"anyOf": [_not(schema) for schema in schemas]}


def _any_of(schemas: list[Any]) -> Schema:
    return {"allOf": [_not(schema) for schema in schemas]}


_DENIALS: dict[str, Callable[[Any], Schema]] = {
    "type": _type,
    "const": lambda value: _enum([value]),
    "enum": _enum,
    "required": _required,
    "properties": _properties,
    "pattern": lambda pattern: {"type": "string", UNPATTERN: pattern},
    "allOf": _all_of,
    "anyOf": _any_of,
    "not": lambda schema: schema,
    "items": lambda schema: (
        {"type": "array", "contains": _not(schema)} if isinstance(schema, bool | dict) else _invalid()
    ),
    FORBIDDEN: lambda name: {"type": "object", "required": [name]},
    EXCLUDED: lambda text: {"const": text},
    UNPATTERN: lambda pattern: {"type": "string", "pattern": pattern},
}


def _invalid() -> Schema:
    raise Invalid("grammar is not valid: `items` is not a schema")
