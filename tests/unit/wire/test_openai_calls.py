"""A call is read the same wherever the tokens cut it."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.core.errors import ToolFailed
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


def test_what_parameters_refer_to_moves_to_the_root():
    def tool(name: str, thing: dict[str, object]) -> dict[str, object]:
        parameters = {"properties": {"a": {"$ref": "#/$defs/Thing"}}, "$defs": {"Thing": thing}}
        return {"type": "function", "function": {"name": name, "parameters": parameters}}

    schema = call_schema(chosen([tool("f", {"type": "string"})], "required"), words=False)
    assert schema["$defs"] == {"Thing": {"type": "string"}}
    assert "$defs" not in schema["properties"]["arguments"]
    two = chosen([tool("f", {"type": "string"}), tool("g", {"type": "null"})], "required")
    with pytest.raises(ToolFailed, match="two tools define 'Thing'"):
        call_schema(two, words=False)
