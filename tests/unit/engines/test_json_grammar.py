"""Which schemas become a grammar with bounded blanks; what it makes of them is tried on the real engine."""

from __future__ import annotations

import json

import pytest

from nearstream.engines.openvino.json_grammar import bounded_grammar

NODE = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"title": "anything", "description": "at all"},
        {"type": "object"},
        {"properties": {"a": {"type": "number"}, "b": True}, "required": ["b"]},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "boolean"}},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
        {"items": {"type": "null"}, "maxItems": 0},
        {"type": ["string", "null"], "minLength": 1, "maxLength": 3},
        {"enum": ['a"\\ü\n', 1, None, {"a": [1]}]},
        {"type": "string", "const": "x"},
        {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/node"}], "$defs": {"node": NODE}},
        {"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"type": "boolean"}}},
    ],
)
def test_a_common_schema_is_expressed_with_no_more_than_one_blank(schema: object):
    grammar = bounded_grammar(json.dumps(schema))
    assert grammar is not None
    assert [line for line in grammar.splitlines() if '" "' in line] == ['sp ::= " "?']
    assert grammar.startswith("r0 ::= ")
    assert "\nroot ::= r0\n" in grammar


def test_members_come_in_their_order_and_those_not_required_may_be_left_out():
    schema = {"properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "required": ["b"]}
    assert bounded_grammar(json.dumps(schema)).splitlines()[:7] == [
        'r0 ::= "{" sp r5 sp "}"',
        'r1 ::= "\\"b\\"" colon null',
        'r2 ::= r1 ""',
        'r3 ::= comma r1 ""',
        'r4 ::= "\\"a\\"" colon null',
        "r5 ::= r4 r3 | r2",
        "r6 ::= comma r4 r3 | r3",
    ]


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "string", "pattern": "a"},
        {"type": "string", "format": "date"},
        {"type": "integer", "minimum": 3},
        {"allOf": [{"type": "string"}]},
        {"type": "object", "patternProperties": {"a": {}}},
        {"type": "object", "required": ["a"]},
        {"type": "array", "prefixItems": [{}]},
        {"type": "array", "minItems": 1.0},
        {"type": "set"},
        {"anyOf": []},
        {"anyOf": [{"type": "null"}], "type": "string"},
        {"minLength": 3},
        {"$ref": "elsewhere"},
        {"$ref": "#/$defs/nobody"},
    ],
)
def test_a_schema_that_asks_for_more_is_left_to_the_engine(schema: object):
    assert bounded_grammar(json.dumps(schema)) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {
            "anyOf": [{"properties": {"x": {"$ref": "#/$defs/b"}}}, {"$ref": "#/$defs/b"}],
            "$defs": {"b": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        },
    ],
)
def test_references_that_lead_in_a_circle_are_left_to_the_engine(schema: object):
    assert bounded_grammar(json.dumps(schema)) is None


def test_what_is_no_schema_is_left_to_the_engine():
    assert bounded_grammar("{{{") is None
    assert bounded_grammar('{"items":' * 5000 + "{}" + "}" * 5000) is None
