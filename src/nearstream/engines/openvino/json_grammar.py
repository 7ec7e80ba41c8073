"""A JSON schema as a grammar in XGrammar's EBNF, in which a blank is one space at most.

XGrammar's own grammar of a schema lets blanks go on for ever, and OpenVINO GenAI has no switch for that: a
small model that is held to it may write nothing else. One space where JSON allows any, members in the
schema's order and none that it does not name: as in TGI (outlines-core, json_schema/parsing.rs).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from typing import Any

_ANNOTATIONS = frozenset(
    {
        "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "strict",
        "$schema", "$id", "$comment", "$defs", "definitions",
    }
)  # fmt: skip
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_EXPRESSED = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength"}),
}
_BASE = r"""
sp ::= " "?
comma ::= sp "," sp
colon ::= sp ":" sp
char ::= [^\0-\x1f\"\\\r\n] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
string ::= "\"" char* "\""
integer ::= "-"? ("0" | [1-9] [0-9]*)
number ::= integer ("." [0-9]+)? ([eE] [+-]? [0-9]+)?
boolean ::= "true" | "false"
null ::= "null"
array ::= "[" sp (value (comma value)*)? sp "]"
pair ::= string colon value
object ::= "{" sp (pair (comma pair)*)? sp "}"
value ::= object | array | string | number | boolean | null
"""


def bounded_grammar(schema: str) -> str | None:
    """None where the schema asks for what is not expressed here: XGrammar's own has to do, blanks and all."""
    try:
        return _Grammar(json.loads(schema)).written()
    except (_BeyondThis, CycleError, RecursionError, ValueError):
        return None


class _BeyondThis(Exception):
    """The schema says something that this grammar would not hold the model to."""


class _Grammar:
    """Rules for a schema and, by their place, for what it refers to."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._rules: dict[str, str] = {}
        self._by_place: dict[str, str] = {}
        self._begins: dict[str, set[str]] = {}
        """Which places may stand at the beginning of a place's text: a circle of them would never end."""
        self._at: str | None = None
        """The place whose beginning is being written."""

    def written(self) -> str:
        """Raises _BeyondThis, and CycleError for a reference that only leads back to itself."""
        self._rules["root"] = self._reference("#")
        TopologicalSorter(self._begins).prepare()
        return "\n".join(f"{name} ::= {body}" for name, body in self._rules.items()) + _BASE

    def _reference(self, place: str) -> str:
        if self._at is not None:
            self._begins[self._at].add(place)
        if place not in self._by_place:
            name = self._by_place[place] = self._named("")
            self._begins[place] = set()
            with self._writing(place):
                self._rules[name] = self._value(self._found(place))
        return self._by_place[place]

    @contextmanager
    def _writing(self, place: str | None) -> Iterator[None]:
        """The beginning of `place`; None: what something else stands before."""
        before, self._at = self._at, place
        yield
        self._at = before

    def _found(self, place: str) -> object:
        """Raises _BeyondThis for what is not in this document."""
        head, *steps = place.split("/")
        found = self._root
        for step in steps:
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                raise _BeyondThis(place)
            found = found[key]
        if head != "#":
            raise _BeyondThis(place)
        return found

    def _named(self, body: str) -> str:
        name = f"r{len(self._rules)}"
        self._rules[name] = body
        return name

    def _value(self, schema: object) -> str:
        if schema is True:
            return "value"
        if not isinstance(schema, dict):
            raise _BeyondThis(schema)
        said = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
        if not said:
            return "value"
        for key in ("$ref", "const", "enum", "anyOf", "oneOf"):
            if key in said:
                return self._alone(key, said)
        kinds = said.get("type", "object" if "properties" in said else "array" if "items" in said else None)
        if isinstance(kinds, list):
            return _either([self._of_kind(kind, said) for kind in kinds])
        return self._of_kind(kinds, said)

    def _alone(self, key: str, said: dict[str, Any]) -> str:
        """What decides the value by itself; a type may stand beside values that are written out."""
        value = said[key]
        if said.keys() - {key} - ({"type"} if key in {"const", "enum"} else set()):
            raise _BeyondThis(said)
        if key == "$ref":
            return self._reference(value)
        if key == "const":
            return _literal(value)
        return _either([_literal(one) if key == "enum" else self._value(one) for one in value])

    def _of_kind(self, kind: object, said: dict[str, Any]) -> str:
        if kind not in _TYPES or not isinstance(kind, str):
            raise _BeyondThis(kind)
        others = (
            frozenset().union(*_EXPRESSED.values()) if isinstance(said.get("type"), list) else frozenset()
        )
        if said.keys() - {"type"} - _EXPRESSED.get(kind, frozenset()) - others:
            raise _BeyondThis(said)
        if kind in {"object", "array"}:
            with self._writing(None):
                return self._object(said) if kind == "object" else self._array(said)
        if kind == "string" and said.keys() & _EXPRESSED["string"]:
            least, most = _bounds(said, "minLength", "maxLength")
            return f'"\\"" char{_times(least, most)} "\\""'
        return kind

    def _array(self, said: dict[str, Any]) -> str:
        least, most = _bounds(said, "minItems", "maxItems")
        if most == 0:
            return '"[" sp "]"'
        item = self._named(self._value(said.get("items", True)))
        items = f"{item} (comma {item}){_times(max(least - 1, 0), None if most is None else most - 1)}"
        return f'"[" sp {items} sp "]"' if least else f'"[" sp ({items})? sp "]"'

    def _object(self, said: dict[str, Any]) -> str:
        properties, required = said.get("properties", {}), frozenset(said.get("required", ()))
        if required - properties.keys():
            raise _BeyondThis(required)
        more = said.get("additionalProperties", "properties" not in said)
        pair = "" if more is False else self._named(f"string colon {self._value(more)}")
        first = f"({pair} (comma {pair})*)?" if pair else '""'
        after = f"(comma {pair})*" if pair else '""'
        for name, schema in reversed(properties.items()):
            member = self._named(f"{_literal(name)} colon {self._value(schema)}")
            first_now, after_now = f"{member} {after}", f"comma {member} {after}"
            if name not in required:
                first_now, after_now = f"{first_now} | {first}", f"{after_now} | {after}"
            first, after = self._named(first_now), self._named(after_now)
        return f'"{{" sp {first} sp "}}"'


def _bounds(said: dict[str, Any], at_least: str, at_most: str) -> tuple[int, int | None]:
    least, most = said.get(at_least, 0), said.get(at_most)
    if not isinstance(least, int) or not isinstance(most, int | None):
        raise _BeyondThis(said)
    return least, most


def _times(least: int, most: int | None) -> str:
    return f"{{{least},{'' if most is None else most}}}"


def _either(forms: list[str]) -> str:
    if not forms:
        raise _BeyondThis(forms)
    return "(" + " | ".join(forms) + ")"


def _literal(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
