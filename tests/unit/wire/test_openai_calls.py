"""A call is read the same wherever the tokens cut it."""

from __future__ import annotations

import itertools
import json
import random

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.grammars.sampling import Sampler

from nearstream.core.generation import Grammar
from nearstream.grammars.compiled import compiled
from nearstream.wire.dialects.completions.call_reader import CallReader
from nearstream.wire.dialects.completions.tools import call_schema, chosen

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def read(text: str, cuts: set[int]) -> tuple[str | None, str, str]:
    reader = CallReader()
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [reader.push(text[a:b]) for a, b in itertools.pairwise(edges)]
    return (
        reader.name,
        "".join(piece.arguments for piece in pieces),
        "".join(piece.content for piece in pieces),
    )


@given(st.text(), st.dictionaries(st.text(), ANY_JSON), st.sets(st.integers(1, 80)), st.booleans())
def test_a_call_is_its_name_and_its_arguments(name: str, arguments: dict, cuts: set[int], escaped: bool):
    written = json.dumps(arguments, ensure_ascii=escaped)
    text = f'{{"name": {json.dumps(name, ensure_ascii=escaped)}, "arguments": {written}}} '
    assert read(text, cuts) == (name, written, "")


@given(st.text(), st.sets(st.integers(1, 80)), st.booleans())
def test_words_are_unescaped(words: str, cuts: set[int], escaped: bool):
    assert read(json.dumps({"content": words}, ensure_ascii=escaped), cuts) == (None, "", words)


@given(st.text(), st.sets(st.integers(1, 80)))
def test_anything_else_is_left_unread(text: str, cuts: set[int]):
    assert read(text, cuts) == (None, "", "")


def tool(name: str, parameters: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def calls(*tools: dict[str, object]) -> set[tuple[str, str]]:
    """Names and arguments of what a model may call, over many draws."""
    schema = call_schema(chosen(list(tools), "required"), words=False)
    sampler = Sampler(compiled(Grammar("json_schema", json.dumps(schema))), random.Random(1))
    drawn = [json.loads(sampler.text()) for _ in range(200)]
    return {(call["name"], json.dumps(call["arguments"])) for call in drawn}


def test_references_of_tools_count_from_their_own_parameters():
    def sharing(name: str, thing: dict[str, object]) -> dict[str, object]:
        parameters = {
            "properties": {"a": {"$ref": "#/$defs/Thing"}},
            "required": ["a"],
            "$defs": {"Thing": thing},
        }
        return tool(name, parameters)

    assert calls(sharing("f", {"const": 1}), sharing("g", {"const": 2})) == {
        ("f", '{"a": 1}'),
        ("g", '{"a": 2}'),
    }
    beside = {"properties": {"a": {"const": 1}, "b": {"$ref": "#/properties/a"}}, "required": ["a", "b"]}
    assert calls(tool("f", beside)) == {("f", '{"a": 1, "b": 1}')}
    itself = {
        "properties": {"a": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "additionalProperties": False,
    }
    assert {("f", "{}"), ("f", '{"a": null}'), ("f", '{"a": {}}')} <= calls(
        tool("f", itself), tool("g", {"const": 1})
    )
    anchored = {
        "properties": {"a": {"$ref": "#x"}},
        "required": ["a"],
        "$defs": {"X": {"$anchor": "x", "const": 3}},
    }
    assert calls(tool("f", anchored), tool("g", {"type": "object", "maxProperties": 0})) == {
        ("f", '{"a": 3}'),
        ("g", "{}"),
    }


def test_a_tool_without_parameters_takes_an_empty_object():
    assert calls({"type": "function", "function": {"name": "now"}}) == {("now", "{}")}
