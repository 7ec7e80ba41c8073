"""Schemas that nobody would write: refused, or every answer meets them."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.grammars.sampling import Sampler

from nearstream.core.errors import Invalid
from nearstream.core.generation import Grammar
from nearstream.grammars.compiled import compiled

NAMES = st.sampled_from(["a", "b", "c"])
SMALL = st.integers(0, 3)
NUMBERS = st.one_of(st.integers(-20, 20), st.sampled_from([0.5, -1.25, 2.75, 10.1]))
VALUES = st.sampled_from([None, True, False, 0, 1, -3, 2.5, "", "a", "ab", [], [1], {}, {"a": 1}, 1.0])
PATTERNS = st.sampled_from(["^a", "b$", "^[a-c]*$", "a|b", "\\d", "^\\W+$", "^.{2,3}$", "^(a|bb)+$", "[^a]"])
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])


def _inner(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(schemas, min_size=1, max_size=3)
    named = st.dictionaries(NAMES, schemas, max_size=3)
    keywords = {
        "type": st.one_of(TYPES, st.lists(TYPES, min_size=1, max_size=3, unique=True)),
        "enum": st.lists(VALUES, min_size=1, max_size=4),
        "const": VALUES,
        "minimum": NUMBERS, "maximum": NUMBERS, "exclusiveMinimum": NUMBERS, "exclusiveMaximum": NUMBERS,
        "multipleOf": st.integers(1, 7),
        "minLength": SMALL, "maxLength": SMALL, "pattern": PATTERNS,
        "format": st.sampled_from(["date", "uuid", "x"]),
        "minItems": SMALL, "maxItems": SMALL, "items": schemas, "prefixItems": some,
        "uniqueItems": st.booleans(),
        "contains": schemas, "minContains": SMALL,
        "properties": named, "required": st.lists(NAMES, max_size=2, unique=True),
        "additionalProperties": schemas, "patternProperties": st.dictionaries(PATTERNS, schemas, max_size=2),
        "propertyNames": schemas, "minProperties": SMALL, "maxProperties": SMALL,
        "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2),
        "dependentSchemas": named, "unevaluatedProperties": st.booleans(),
        "allOf": some, "anyOf": some, "oneOf": some, "not": schemas,
        "if": schemas, "then": schemas, "else": schemas,
        "$ref": st.sampled_from(["#", "#/$defs/d", "#/properties/a"]),
    }  # fmt: skip
    keyword = st.sampled_from(sorted(keywords)).flatmap(
        lambda name: st.tuples(st.just(name), keywords[name])  # type: ignore[misc]
    )
    return st.lists(keyword, max_size=4).map(dict)


SCHEMAS = st.recursive(st.one_of(st.booleans(), TYPES.map(lambda kind: {"type": kind})), _inner, max_leaves=8)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(root=SCHEMAS, shared=SCHEMAS, seed=st.integers(0, 1000))
def test_an_answer_meets_its_schema_or_the_schema_is_refused(root: Any, shared: Any, seed: int):
    schema = {**root, "$defs": {"d": shared}} if isinstance(root, dict) else root
    try:
        rules = compiled(Grammar("json_schema", json.dumps(schema)))
    except Invalid:
        return
    sampler = Sampler(rules, random.Random(seed), longest=60)
    validator = jsonschema.Draft202012Validator(schema)
    for _ in range(5):
        text = sampler.text()
        try:
            validator.validate(json.loads(text))
        except RecursionError:
            return
        except jsonschema.ValidationError as error:
            raise AssertionError(f"{json.dumps(schema)} is not met by {text}: {error.message}") from None
