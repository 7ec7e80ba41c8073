"""The ways of meeting a schema: its choices multiplied out, references followed, each way a branch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from nearstream.grammars.branches import TYPES, Branch, Literal, limited, merged
from nearstream.grammars.document import Document, Json, Place
from nearstream.grammars.exclusion import exclusive
from nearstream.grammars.keywords import named, names, own, schemas
from nearstream.grammars.negation import negated
from nearstream.grammars.rules import too_large

MOST_WAYS = 256
_MOST_WORK = 20_000
ANNOTATIONS = frozenset(
    {
        "title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly",
        "format", "strict", "$schema", "$id", "id", "$comment", "$defs", "definitions", "$anchor",
        "$vocabulary", "$dynamicAnchor", "nullable", "contentMediaType", "contentEncoding", "contentSchema",
        "xml", "externalDocs", "discriminator", "minContains", "then", "else",
    }
)  # fmt: skip
_NULL = Branch(types=frozenset({"null"}))


class Ways:
    """The branches of the places of a document, each found once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: dict[Place, tuple[Branch, ...]] = {}
        self._open: list[Place] = []
        self._work = 0

    def of(self, place: Place) -> tuple[Branch, ...]:
        """Raises Invalid for a keyword that is not expressed, and for more ways than are allowed."""
        if place in self._found:
            return self._found[place]
        if place in self._open:
            raise place.refusal("$ref", "leads only back to itself")
        self._open.append(place)
        try:
            found = self._ways(place)
        finally:
            self._open.pop()
        self._found[place] = found
        return found

    def together(self, places: Iterable[Place]) -> tuple[Branch, ...]:
        """The ways of meeting all these schemas."""
        found: tuple[Branch, ...] = (Branch(),)
        for place in sorted(set(places), key=lambda place: place.pointer):
            found = self._product(place, found, self.of(place))
        return found

    def _ways(self, place: Place) -> tuple[Branch, ...]:
        schema = place.schema
        if isinstance(schema, bool):
            return (Branch(),) if schema else ()
        found: tuple[Branch, ...] = (Branch(),)
        for branch in own(place, schema):
            found = self._product(place, found, (branch,))
        for choices in self._choices(place, schema):
            found = self._product(place, found, choices)
        if schema.get("nullable") is True:
            found = (_NULL, *(limited(branch, TYPES - {"null"}) for branch in found))
        return tuple(dict.fromkeys(branch for branch in found if branch.possible))

    def _choices(self, place: Place, schema: dict[str, Any]) -> Iterator[Iterable[Branch]]:
        """What each keyword that offers a choice, or applies a schema in place, adds."""
        if "$ref" in schema:
            yield self.of(self._document.referred(place, "$ref"))
        for inner in schemas(place, "allOf", schema.get("allOf", [])):
            yield self.of(inner)
        if "anyOf" in schema:
            yield [branch for inner in schemas(place, "anyOf", schema["anyOf"]) for branch in self.of(inner)]
        if "oneOf" in schema:
            yield self._one_of(place, schema["oneOf"])
        if "not" in schema:
            yield self._denied(place.inner("not", schema=schema["not"]), "not")
        if "if" in schema:
            yield self._conditional(place, schema)
        yield from self._dependent(place, schema)

    def _one_of(self, place: Place, value: Json) -> list[Branch]:
        options = [self.of(inner) for inner in schemas(place, "oneOf", value)]
        if sum(map(len, options)) > MOST_WAYS:
            raise too_large(f"`oneOf` at {place.pointer} has more than {MOST_WAYS} alternatives")
        return exclusive(options, self, place)

    def _denied(self, place: Place, keyword: str) -> tuple[Branch, ...]:
        """The ways of not meeting a schema."""
        while (
            isinstance(place.schema, dict)
            and "$ref" in place.schema
            and not (place.schema.keys() - ANNOTATIONS - {"$ref"})
        ):
            place = self._document.referred(place, "$ref")
            if place in self._open:
                raise place.refusal("$ref", f"is not supported inside `{keyword}` where it leads back")
        unknown = frozenset(
            key for key in (place.schema if isinstance(place.schema, dict) else ()) if key.startswith("x-")
        )
        other = negated(place, keyword, ignored=ANNOTATIONS | unknown)
        return self.of(Place(f"{place.pointer}/\0{keyword}", other))

    def _conditional(self, place: Place, schema: dict[str, Any]) -> list[Branch]:
        condition = place.inner("if", schema=schema["if"])
        then = place.inner("then", schema=schema.get("then", True))
        otherwise = place.inner("else", schema=schema.get("else", True))
        met = self._product(place, self.of(condition), self.of(then))
        return [*met, *self._product(place, self._denied(condition, "if"), self.of(otherwise))]

    def _dependent(self, place: Place, schema: dict[str, Any]) -> Iterator[Iterable[Branch]]:
        """A member that asks for others, or for a schema, where it is there."""
        for keyword in ("dependentRequired", "dependencies", "dependentSchemas"):
            value = schema.get(keyword, {})
            if not isinstance(value, dict):
                raise place.refusal(keyword, "must be an object")
            for name, inner in value.items():
                absent = Branch(forbidden=frozenset({name}))
                present = Branch(required=frozenset({name}))
                if isinstance(inner, list):
                    asked: Iterable[Branch] = (Branch(required=names(place, keyword, inner)),)
                else:
                    asked = self.of(dict(named(place, keyword, {name: inner}))[name])
                there = self._product(place, (limited(present, frozenset({"object"})),), asked)
                yield (absent, *there)

    def _product(self, place: Place, one: Iterable[Branch], other: Iterable[Branch]) -> tuple[Branch, ...]:
        found: dict[Branch, None] = {}
        others = tuple(other)
        for a in one:
            for b in others:
                self._work += 1
                both = merged(a, b)
                if both.possible:
                    found[both] = None
        if len(found) > MOST_WAYS or self._work > _MOST_WORK:
            raise too_large(f"the schema at {place.pointer} can be met in more than {MOST_WAYS} ways")
        return tuple(found)


def literals(branch: Branch) -> tuple[Literal, ...] | None:
    """All values of a branch, where it names them or its types have so few."""
    if branch.values is not None:
        return branch.values
    if branch.types <= {"null", "boolean"}:
        values = [None] * ("null" in branch.types) + [True, False] * ("boolean" in branch.types)
        return tuple(map(Literal.of, values))
    return None
