"""Grammars as TGI takes them, `{type, value}`, and what makes one invalid before any engine has seen it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from nearstream.core.errors import Invalid
from nearstream.core.generation import Grammar

SCHEMA_KINDS = frozenset({"json", "json_object", "json_schema"})
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_ONE = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def grammar(document: dict[str, Any] | None) -> Grammar | None:
    """A schema may come as an object, as JSON text, or wrapped as `{name, schema}`. Raises Invalid."""
    if document is None:
        return None
    kind, value = document.get("type"), document.get("value")
    if kind == "regex" and isinstance(value, str):
        return Grammar("regex", _checked_regex(value))
    if kind not in SCHEMA_KINDS:
        raise Invalid(f"grammar is not valid: unknown type {kind!r}")
    return _schema(_decoded(value) if isinstance(value, str) else value, named=kind == "json_schema")


def _decoded(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"grammar is not valid: {error}") from error


def _schema(value: object, *, named: bool) -> Grammar:
    if named and isinstance(value, dict) and "schema" in value:
        value = value["schema"]
    if not isinstance(value, dict):
        raise Invalid("grammar is not valid: a JSON schema is an object")
    for fault in _faults(value):
        raise Invalid(f"grammar is not valid: {fault}")
    return Grammar("json_schema", msgspec.json.encode(value).decode())


def _checked_regex(pattern: str) -> str:
    """Classes like \\p{L} are the engine's matter: Python does not know them."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        if "bad escape" not in str(error):
            raise Invalid(f"grammar is not valid: {error}") from error
    return pattern


def _faults(root: dict[str, Any]) -> Iterator[str]:
    """What of a schema the specification of JSON Schema forbids, as far as engines look at it."""
    todo: list[tuple[str, object]] = [("the schema", root)]
    while todo:
        where, schema = todo.pop()
        if isinstance(schema, bool):
            continue
        if not isinstance(schema, dict):
            yield f"{where} must be an object, not {msgspec.json.encode(schema).decode()}"
            continue
        yield from _own_faults(where, schema)
        todo += _inner(where, schema)


def _own_faults(where: str, schema: dict[str, Any]) -> Iterator[str]:
    kinds = schema.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else [None]:
        if kind not in _TYPES:
            yield f"`type` of {where} must be one of {', '.join(sorted(_TYPES))}"
    for key in ("required", "enum", *_LISTED):
        if key in schema and not isinstance(schema[key], list):
            yield f"`{key}` of {where} must be a list"
    for key in _NAMED:
        if key in schema and not isinstance(schema[key], dict):
            yield f"`{key}` of {where} must be an object"
    if not isinstance(schema.get("$ref", ""), str):
        yield f"`$ref` of {where} must be a string"


def _inner(where: str, schema: dict[str, Any]) -> list[tuple[str, object]]:
    """The schemas inside a schema, each with its place."""
    inside = [(f"`{key}` of {where}", schema[key]) for key in _ONE if key in schema]
    for key in _LISTED:
        if isinstance(schema.get(key), list):
            inside += [(f"`{key}` of {where}", item) for item in schema[key]]
    for key in _NAMED:
        if isinstance(schema.get(key), dict):
            inside += [(f"`{name}` in `{key}` of {where}", item) for name, item in schema[key].items()]
    return inside
