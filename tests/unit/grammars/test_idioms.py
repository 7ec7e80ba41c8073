"""Everyday schemas: answers meet them with one blank at most between tokens, or the schema is refused."""

from __future__ import annotations

import json
import random
import re

import jsonschema
import pytest
from tests.unit.grammars.idioms import IDIOMS, OPENAPI, REFUSED
from tests.unit.grammars.sampling import Sampler

from nearstream.core.errors import Invalid
from nearstream.core.generation import Grammar
from nearstream.grammars.compiled import compiled
from nearstream.grammars.rules import Rules

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')


def rules_of(schema: object) -> Rules:
    return compiled(Grammar("json_schema", json.dumps(schema)))


def answers(schema: object, *, count: int = 60) -> list[str]:
    sampler = Sampler(rules_of(schema), random.Random(1))
    return [sampler.text() for _ in range(count)]


def valid(schema: object) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


@pytest.mark.parametrize("name", IDIOMS)
def test_every_answer_meets_its_schema(name: str):
    for text in answers(IDIOMS[name]):
        valid(IDIOMS[name]).validate(json.loads(text))


@pytest.mark.parametrize("name", IDIOMS)
def test_no_answer_has_more_than_one_blank_between_tokens(name: str):
    for text in answers(IDIOMS[name]):
        between = _STRINGS.sub("s", text)
        assert not re.search(r"\s\s|[^\S ]", between)


@pytest.mark.parametrize("name", OPENAPI)
def test_the_words_of_openapi_mean_what_json_schemas_mean(name: str):
    written, meant = OPENAPI[name]
    told = {text.replace(" ", "") for text in answers(written, count=200)}
    assert told
    for text in told:
        valid(meant).validate(json.loads(text))
    if "null" in json.dumps(meant):
        assert "null" in told


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_enforced_is_refused_by_keyword_and_place(name: str):
    schema, message = REFUSED[name]
    with pytest.raises(Invalid, match=message):
        rules_of(schema)


@pytest.mark.parametrize(
    "annotation",
    [
        {"title": "t"}, {"description": "d"}, {"default": 1}, {"example": 1}, {"examples": [1]},
        {"x-order": 3}, {"format": "money"}, {"deprecated": True}, {"readOnly": True}, {"writeOnly": True},
        {"$comment": "c"}, {"contentMediaType": "a/b"}, {"nullable": False}, {"xml": {}},
        {"externalDocs": {}}, {"madeUp": 1},
    ],
)  # fmt: skip
def test_an_annotation_changes_nothing(annotation: dict[str, object]):
    item = {"type": "integer", "minimum": 3}
    plain = {"type": "object", "properties": {"a": item}, "required": ["a"]}
    told = {**plain, **annotation, "properties": {"a": {**item, **annotation}}}
    assert rules_of(told).ebnf() == rules_of(plain).ebnf()


def test_bounds_of_integers_are_exact():
    for low, high in ((1, 5), (-12, 7), (99, 1001), (-1000, -1)):
        told = {
            int(text) for text in answers({"type": "integer", "minimum": low, "maximum": high}, count=600)
        }
        assert min(told) >= low and max(told) <= high
        assert {low, high} <= told or high - low > 100


def test_members_come_in_the_schemas_order_and_none_that_it_does_not_name():
    schema = {"properties": {"b": {"type": "null"}, "a": {"type": "null"}}, "type": "object"}
    told = {text.replace(" ", "") for text in answers(schema)}
    assert told == {"{}", '{"b":null}', '{"a":null}', '{"b":null,"a":null}'}
