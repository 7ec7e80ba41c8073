"""A JSON schema as a document: its places, and what references in it lead to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from nearstream.core.errors import Invalid

Json = Any
"""A JSON value."""
Schema = bool | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A schema and where in the document it is, as a JSON pointer."""

    pointer: str
    schema: Schema = field(compare=False)

    def inner(self, *steps: str | int, schema: Json) -> Place:
        """The schema at a place inside this one. Raises Invalid where it is none."""
        pointer = "/".join((self.pointer, *map(_escaped, steps)))
        if not isinstance(schema, bool | dict):
            raise Invalid(f"grammar is not valid: {pointer} must be a schema, not {_named(schema)}")
        return Place(pointer, schema)

    def refusal(self, keyword: str, why: str) -> Invalid:
        """The error for a keyword of this schema."""
        return Invalid(f"grammar is not valid: `{keyword}` at {self.pointer}: {why}")


class Document:
    """A schema and all that is in it. References in a schema that has an `$id` count from there."""

    def __init__(self, root: Schema) -> None:
        self.root = Place("#", root)
        self._names: dict[tuple[str, str], Place] | None = None

    def referred(self, place: Place, keyword: str) -> Place:
        """What the reference at `place` leads to. Raises Invalid."""
        ref = place.schema[keyword] if isinstance(place.schema, dict) else ""
        if not isinstance(ref, str):
            raise place.refusal(keyword, "must be a string")
        address, _, fragment = ref.partition("#")
        start = self._around(place) if not address else self._named_place("", address)
        if start is None:
            raise place.refusal(
                keyword, f"{ref!r} is not in this schema; only references within it are supported"
            )
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            anchored = self._named_place(start.pointer, fragment)
            if anchored is None:
                raise place.refusal(keyword, f"no schema has the anchor {fragment!r}")
            return anchored
        found: Json = start.schema
        for step in _steps(fragment):
            found = _step(found, step)
        if not isinstance(found, bool | dict):
            raise place.refusal(keyword, f"{ref!r} leads to no schema")
        return Place(start.pointer + fragment, found)

    def _around(self, place: Place) -> Place:
        """The nearest schema around a place that has an `$id`, or the root."""
        around, found, pointer = self.root, self.root.schema, self.root.pointer
        for step in _steps(place.pointer):
            found, pointer = _step(found, step), f"{pointer}/{_escaped(step)}"
            if isinstance(found, dict) and isinstance(found.get("$id"), str):
                around = Place(pointer, found)
        return around

    def _named_place(self, around: str, name: str) -> Place | None:
        """The schema with an anchor in the document at `around`; where that is "", the one with an `$id`."""
        if self._names is None:
            self._names = dict(_names(self.root))
        return self._names.get((around, name))


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def _step(found: Json, step: str) -> Json:
    if isinstance(found, dict):
        return found.get(step)
    if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
        return found[int(step)]
    return None


def _names(root: Place) -> Iterator[tuple[tuple[str, str], Place]]:
    todo: list[tuple[str, str, Any]] = [(root.pointer, root.pointer, root.schema)]
    while todo:
        around, pointer, found = todo.pop()
        if isinstance(found, dict):
            name, identity = found.get("$anchor"), found.get("$id")
            if isinstance(identity, str):
                around = pointer
                yield ("", identity.rstrip("#")), Place(pointer, found)
            if isinstance(name, str):
                yield (around, name), Place(pointer, found)
        pairs = (
            found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
        )
        todo += [(around, f"{pointer}/{_escaped(step)}", inner) for step, inner in pairs]


def _named(value: Json) -> str:
    names = {type(None): "null", str: "a string", list: "a list", int: "a number", float: "a number"}
    return names.get(type(value), "something else")
