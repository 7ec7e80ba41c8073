"""Every field that OpenAI's own client declares is honoured, a hint, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from openai.types import completion_create_params as text_params
from openai.types.chat import completion_create_params as chat_params
from openai.types.responses import response_create_params as response_params

from nearstream.core.errors import Invalid, OptionInvalid, Unsupported
from nearstream.wire.dialects.completions import fields
from nearstream.wire.dialects.completions.bodies import ChatBody, CompletionBody
from nearstream.wire.dialects.hf import completions as tgi
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.openai import completions as plain
from nearstream.wire.dialects.openai.responses import bodies as responses
from nearstream.wire.dialects.openai.responses.calls import read_response
from nearstream.wire.dialects.openai.responses.store import ResponseStore
from nearstream.wire.dialects.openai.rules import OpenAITerms

HELLO = {"messages": [{"role": "user", "content": "hi"}]}
TERMS = OpenAITerms("m")
STORE = ResponseStore()
Read = Callable[[dict[str, Any]], Any]


def chat(body: dict[str, Any]) -> Any:
    return plain.read_chat(json.dumps(HELLO | body).encode(), TERMS).call()


def text(body: dict[str, Any]) -> Any:
    return plain.read_completion(json.dumps({"prompt": "hi"} | body).encode(), TERMS).call()


def response(body: dict[str, Any]) -> Any:
    return read_response(json.dumps({"input": "hi"} | body).encode(), TERMS, STORE).call()


def tgi_chat(body: dict[str, Any]) -> Any:
    return tgi.read_chat(json.dumps(HELLO | body).encode(), Terms()).call()


@pytest.mark.parametrize(
    ("declared", "honoured", "hints", "refused"),
    [
        (chat_params.CompletionCreateParamsBase, ChatBody, fields.HINTS, fields.REFUSED),
        (text_params.CompletionCreateParamsBase, CompletionBody, fields.HINTS, fields.REFUSED),
        (
            response_params.ResponseCreateParamsBase,
            responses.ResponseBody,
            responses.HINTS,
            responses.REFUSED,
        ),
    ],
    ids=["chat", "completion", "response"],
)
def test_each_field_of_openais_client_is_in_exactly_one_class(
    declared: type, honoured: Any, hints: dict[str, str], refused: dict[str, str]
):
    for name in {*declared.__annotations__, "stream"}:
        classes = [name in honoured.__struct_fields__, name in hints, name in refused]
        assert sum(classes) == 1, name


@pytest.mark.parametrize("read", [chat, text, tgi_chat])
@pytest.mark.parametrize("name", sorted(fields.REFUSED))
def test_what_is_not_done_is_refused_by_name(read: Read, name: str):
    with pytest.raises(Unsupported) as refused:
        read({name: ["something"]})
    assert refused.value.option == name


@pytest.mark.parametrize("read", [chat, text, tgi_chat])
@pytest.mark.parametrize("name", sorted(fields.REFUSED))
def test_what_asks_for_nothing_is_taken(read: Read, name: str):
    assert read({name: None})


@pytest.mark.parametrize(
    "body",
    [{"modalities": ["text"]}, {"functions": []}, {"function_call": "none"}, {"length_penalty": 1.0},
     {"skip_special_tokens": True}, {"use_beam_search": False}, {"prompt_logprobs": None}],
)  # fmt: skip
def test_what_asks_for_what_is_done_anyway_is_taken(body: dict[str, Any]):
    assert chat(body)


@pytest.mark.parametrize(
    "body", [{"skip_special_tokens": False}, {"add_special_tokens": False}, {"modalities": ["audio"]}]
)
def test_what_would_change_the_answer_is_not(body: dict[str, Any]):
    with pytest.raises(Unsupported):
        chat(body)


@pytest.mark.parametrize("name", sorted(fields.HINTS))
def test_hints_change_nothing(name: str):
    assert chat({name: "x"}).requests == chat({}).requests
    assert tgi_chat({name: "x"}).requests == tgi_chat({}).requests


@pytest.mark.parametrize("name", sorted(responses.HINTS))
def test_hints_to_a_response_change_nothing(name: str):
    assert response({name: {}}).requests == response({}).requests


@pytest.mark.parametrize("name", sorted(responses.REFUSED))
def test_what_a_response_cannot_have_is_refused_by_name(name: str):
    with pytest.raises(Unsupported) as refused:
        response({name: {"a": 1}})
    assert refused.value.option == name


@pytest.mark.parametrize("read", [chat, text, response])
def test_a_name_that_is_none_is_refused_by_openais_dialect_and_ignored_by_tgis(read: Read):
    with pytest.raises(OptionInvalid) as refused:
        read({"temprature": 1})
    assert refused.value.option == "temprature"
    assert tgi_chat({"temprature": 1})


def sampling(read: Read, body: dict[str, Any]) -> Any:
    call = read(body)
    return call.settle(call.requests[0], prompt_tokens=3).sampling


@pytest.mark.parametrize("read", [chat, text, tgi_chat])
def test_what_vllm_adds_is_honoured(read: Read):
    sent = {"top_k": 5, "min_p": 0.2, "min_tokens": 3, "ignore_eos": True, "stop_token_ids": [7]}
    found = sampling(read, sent | {"repetition_penalty": 1.2})
    assert (found.top_k, found.min_p, found.min_new_tokens, found.ignore_eos) == (5, 0.2, 3, True)
    assert (found.stop_token_ids, found.repetition_penalty) == (frozenset({7}), 1.2)
    assert sampling(read, {"top_k": -1}).top_k is sampling(read, {"top_k": 0}).top_k is None
    assert read({"stop": "a", "stop_sequences": ["b"]}).requests[0].stop == ("a", "b")


@pytest.mark.parametrize("read", [chat, text, tgi_chat])
@pytest.mark.parametrize(
    ("body", "kind", "source"),
    [
        ({"guided_json": {"type": "object"}}, "json_schema", '{"type":"object"}'),
        ({"guided_json": '{"type":"object"}'}, "json_schema", '{"type":"object"}'),
        ({"guided_regex": "[ab]+"}, "regex", "[ab]+"),
        ({"guided_choice": ["a+b", "c (d)"]}, "regex", r"a\+b|c \(d\)"),
        ({"structured_outputs": {"choice": ["a", "b"]}}, "regex", "a|b"),
        ({"structured_outputs": {"regex": "a", "json": None}}, "regex", "a"),
        ({"structured_outputs": {"json": {"type": "null"}}}, "json_schema", '{"type":"null"}'),
        ({"response_format": {"type": "json_object"}}, "json_schema", '{"type":"object"}'),
    ],
)
def test_every_form_of_a_constraint_is_honoured(read: Read, body: dict[str, Any], kind: str, source: str):
    grammar = sampling(read, body).grammar
    assert (grammar.kind, grammar.source) == (kind, source)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"guided_json": {"type": "object"}, "guided_regex": "a"}, "exclude each other"),
        ({"structured_outputs": {"grammar": "x"}}, "structured_outputs"),
        ({"structured_outputs": {"regex": 5}}, "another type"),
        ({"messages": []}, "`messages` is empty"),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "user"}]},
            r"has no `content` - at `\$.messages\[1\]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
            "unknown part of type 'hologram'",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "has no text"),
        ({"min_p": 2}, "`min_p`"),
        ({"top_k": -2}, "`top_k`"),
        ({"min_tokens": 5, "max_tokens": 4}, "`min_tokens`"),
    ],
)
@pytest.mark.parametrize("read", [chat, tgi_chat])
def test_what_cannot_be_is_told_in_words(read: Read, body: dict[str, Any], message: str):
    with pytest.raises(Invalid, match=message):
        read(body)


def test_prompts_may_be_token_ids():
    def ids(prompt: object) -> list[tuple[int, ...]]:
        return [request.prompt.ids for request in text({"prompt": prompt}).requests]

    assert ids([1, 2, 3]) == [(1, 2, 3)]
    assert ids([[1, 2], [3]]) == [(1, 2), (3,)]
    wrongs: list[Any] = [[1, "a"], [[1], [-1]], [[]], [1.5], [True], {"a": 1}, [1 << 40]]
    for wrong in wrongs:
        with pytest.raises(Invalid):
            text({"prompt": wrong})
