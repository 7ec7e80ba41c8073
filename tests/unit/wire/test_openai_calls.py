"""A call is read the same wherever the tokens cut it."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.grammars.sampling import Sampler

from nearstream.core.errors import Invalid
from nearstream.core.generation import Grammar
from nearstream.grammars.compiled import compiled
from nearstream.wire.dialects.completions.call_reader import CallReader
from nearstream.wire.dialects.completions.encoders import joined
from nearstream.wire.dialects.completions.tools import call_schema, chosen

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


Read = tuple[str, list[tuple[str, str]], str]


def read(text: str, cuts: set[int], *, words: bool = True) -> Read:
    """The words, the calls, and what is left unread, of a text that is cut into tokens."""
    reader = CallReader(words=words)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [piece for a, b in itertools.pairwise(edges) for piece in reader.push(text[a:b])]
    unread = reader.unread
    content, calls = joined([*pieces, *reader.flush()])
    return content, calls, unread if not content else ""


@given(st.text(), st.dictionaries(st.text(), ANY_JSON), st.sets(st.integers(1, 80)), st.booleans())
def test_a_call_is_its_name_and_its_arguments(name: str, arguments: dict, cuts: set[int], escaped: bool):
    written = json.dumps(arguments, ensure_ascii=escaped)
    text = f'{{"name": {json.dumps(name, ensure_ascii=escaped)}, "arguments": {written}}} '
    for form in (text, f"<tool_call>\n{text}\n</tool_call>"):
        assert read(form, cuts) == read(form, cuts, words=False) == ("", [(name, written)], "")


@given(st.lists(st.dictionaries(st.text(), ANY_JSON), min_size=2, max_size=4), st.sets(st.integers(1, 150)))
def test_several_calls_are_told_apart(arguments: list[dict], cuts: set[int]):
    calls = [(f"f{at}", json.dumps(one)) for at, one in enumerate(arguments)]
    plain = [f'{{"name": "{name}", "arguments": {written}}}' for name, written in calls]
    tagged = [f"<tool_call>\n{one}\n</tool_call>" for one in plain]
    assert read("\n".join(plain), cuts) == ("", calls, "")
    assert read("\n".join(tagged), cuts) == ("", calls, "")
    assert read("I look it up. <tool" + "".join(tagged), cuts) == ("I look it up. <tool", calls, "")


@given(st.text(), st.sets(st.integers(1, 80)))
def test_any_other_text_is_words(text: str, cuts: set[int]):
    assert read(text, cuts) == (text, [], "")


@pytest.mark.parametrize(
    "text", ['{"name": "Ada", "age": 3}', '{"a": 1}', "{", "<", "<tool", "<tool_box>", ' {"name": 1}', "\n{}"]
)
def test_what_only_begins_like_a_call_is_words(text: str):
    for cuts in (set[int](), set(range(1, len(text)))):
        assert read(text, cuts) == (text, [], "")


def test_words_are_passed_on_as_soon_as_they_are_none_of_a_call():
    reader = CallReader(words=True)
    told = [
        "".join(piece.content for piece in reader.push(token))
        for token in ("{", '"a', '": 1', "}", " <", "b")
    ]
    assert told == ["", '{"a', '": 1', "}", " ", "<b"]


@given(st.text(alphabet="ab {<"), st.sets(st.integers(1, 80)))
def test_where_a_call_is_required_anything_else_is_left_unread(text: str, cuts: set[int]):
    assert read(text, cuts, words=False) == ("", [], text)


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("words", [True, False])
def test_the_grammar_of_an_offer_writes_what_the_reader_reads(words: bool, most: int):
    call = {"type": "object", "properties": {"name": {"const": "f"}, "arguments": {"type": "object"}},
            "required": ["name", "arguments"], "additionalProperties": False}  # fmt: skip
    source = json.dumps({"schema": call, "words": words, "most": most})
    sampler = Sampler(compiled(Grammar("tool_calls", source)), random.Random(3))
    kinds = set()
    for _ in range(300):
        text = sampler.text()
        content, calls, unread = read(text, set(), words=words)
        kinds.add((bool(content), min(len(calls), 2)))
        assert not unread
        assert len(calls) <= most
        assert all(name == "f" and isinstance(json.loads(given), dict) for name, given in calls)
        assert content or calls or not text.strip()
    assert {(False, 1)} <= kinds
    assert ((True, 0) in kinds) == words
    assert any(count == 2 for _, count in kinds) == (most > 1)


def test_a_call_that_no_arguments_fit_is_refused_though_words_are_allowed():
    with pytest.raises(Invalid, match="no arguments"):
        compiled(Grammar("tool_calls", json.dumps({"schema": {"not": {}}, "words": True, "most": 1})))


def tool(name: str, parameters: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def calls(*tools: dict[str, object]) -> set[tuple[str, str]]:
    """Names and arguments of what a model may call, over many draws."""
    schema = call_schema(chosen(list(tools), "required"))
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
