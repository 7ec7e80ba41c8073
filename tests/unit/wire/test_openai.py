"""OpenAI's bodies, in OpenAI's forms and in TGI's."""

from __future__ import annotations

import json

import pytest

from nearstream.core.errors import BatchTooLarge, Invalid, Misshapen, NearstreamError, Unsupported
from nearstream.core.generation import ChatPrompt, GenerationRequest, Message, TextPrompt
from nearstream.wire.dialects import openai
from nearstream.wire.dialects.terms import Terms, tgi_release

HELLO = [{"role": "user", "content": "hi"}]


def chat(terms: Terms = Terms(), **body: object) -> GenerationRequest:  # noqa: B008 - frozen
    document = {"model": "tgi", "messages": HELLO} | body
    return openai.read_chat(json.dumps(document).encode(), terms).exchange().request


def completion(**body: object) -> GenerationRequest:
    document = {"model": "tgi", "prompt": "hi"} | body
    return openai.read_completion(json.dumps(document).encode(), Terms()).exchange().request


def test_temperature_zero_is_greedy_and_anything_else_samples():
    assert not chat(temperature=0, top_p=0.5).sampling.do_sample
    assert chat().sampling.do_sample
    sampling = chat(temperature=0.5, top_p=1, presence_penalty=1, seed=3, logit_bias={"5": -100}).sampling
    assert (sampling.temperature, sampling.top_p, sampling.presence_penalty) == (0.5, None, 1)
    assert (sampling.seed, sampling.logit_bias) == (3, ((5, -100.0),))


def test_stop_is_a_string_or_a_list():
    assert chat(stop="END").stop == ("END",)
    assert chat(stop=["a", "b"]).stop == ("a", "b")
    assert chat(stop=None).stop == ()


def test_the_newer_name_of_the_limit_wins():
    assert chat(max_tokens=5, max_completion_tokens=7).max_new_tokens == 7
    assert chat(max_tokens=5).max_new_tokens == 5
    assert chat(Terms(release=tgi_release("2.0"))).max_new_tokens == 100


def test_messages_become_plain_text():
    calls = [{"id": "0", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    prompt = chat(
        messages=[
            {"role": "developer", "content": "Be kind."},
            {
                "role": "user",
                "name": "Ann",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "content": "42", "tool_call_id": "0"},
        ]
    ).prompt
    assert prompt == ChatPrompt(
        (
            Message("system", "Be kind."),
            Message("user", "ab", "Ann"),
            Message("assistant", json.dumps(calls, separators=(",", ":"))),
            Message("tool", "42"),
        )
    )


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_object", "value": {"type": "array"}}, {"type": "array"}),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "null"}}}, {"type": "null"}),
        ({"type": "json", "value": {"type": "object"}}, {"type": "object"}),
    ],
)
def test_a_response_format_is_a_grammar(form: dict[str, object], schema: dict[str, object]):
    grammar = chat(response_format=form).sampling.grammar
    assert grammar is not None
    assert json.loads(grammar.source) == schema
    assert chat(response_format={"type": "text"}).sampling.grammar is None


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ({"n": 2}, Unsupported, "`n`"),
        ({"tools": [{}]}, Unsupported, "`tools`"),
        ({"logit_bias": [0.5]}, Unsupported, "`logit_bias`"),
        ({"top_logprobs": 2}, Invalid, "`logprobs` must be true"),
        ({"presence_penalty": 3}, Invalid, "`presence_penalty`"),
        ({"temperature": -1}, Invalid, "`temperature` must be strictly positive"),
        ({"max_tokens": 0}, Invalid, "`max_new_tokens` must be strictly positive"),
        ({"stop": list("abcde")}, Invalid, "`stop` supports up to 4"),
        ({"messages": [{"role": "robot", "content": ""}]}, Misshapen, "unknown variant `robot`"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            Unsupported,
            "image_url",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    body: dict[str, object], kind: type[NearstreamError], message: str
):
    with pytest.raises(kind, match=message):
        chat(**body)


def test_tools_that_must_not_be_used_are_no_hindrance():
    assert chat(tools=[{}], tool_choice="none").prompt == chat().prompt


def test_several_alternatives_are_the_engines_matter_but_the_greedy_one_is_not():
    assert chat(logprobs=True, top_logprobs=3).sampling.top_n_tokens == 3
    assert chat(logprobs=True, top_logprobs=1).sampling.top_n_tokens == 1
    assert chat(logprobs=True, top_logprobs=1, temperature=0).sampling.top_n_tokens == 0


def test_a_completion_takes_one_prompt():
    assert completion(prompt=["one"]).prompt == TextPrompt("one")
    with pytest.raises(Unsupported, match="one prompt"):
        completion(prompt=["one", "two"])
    with pytest.raises(BatchTooLarge) as refused:
        completion(prompt=["one"] * 5)
    assert str(refused.value) == "Number of prompts exceeds the maximum allowed batch size of 4"
