"""OpenAI's bodies, in OpenAI's forms and in TGI's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from nearstream.core.errors import (
    BatchTooLarge,
    Invalid,
    Misshapen,
    NearstreamError,
    ToolFailed,
    Unsupported,
)
from nearstream.core.generation import ChatPrompt, GenerationRequest, Message, TextPrompt, ToolCall
from nearstream.core.ports import GenerationCall
from nearstream.wire.dialects.hf import completions as openai
from nearstream.wire.dialects.hf.terms import Terms, tgi_release

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {}}}}}]
HELLO = [{"role": "user", "content": "hi"}]


def chat(terms: Terms = Terms(), **body: Any) -> GenerationRequest:  # noqa: B008 - frozen
    document = {"model": "tgi", "messages": HELLO} | body
    return first(openai.read_chat(json.dumps(document).encode(), terms).call())


def first(call: GenerationCall) -> GenerationRequest:
    """With the grammar that is found once the tokens are counted."""
    request = call.requests[0]
    return replace(request, sampling=call.settle(request, prompt_tokens=1).sampling)


def requests(**body: Any) -> tuple[GenerationRequest, ...]:
    document = {"messages": HELLO} | body
    return openai.read_chat(json.dumps(document).encode(), Terms()).call().requests


def completions(**body: Any) -> tuple[GenerationRequest, ...]:
    document = {"model": "tgi", "prompt": "hi"} | body
    return openai.read_completion(json.dumps(document).encode(), Terms()).call().requests


def completion(**body: Any) -> GenerationRequest:
    return completions(**body)[0]


def test_temperature_zero_is_greedy_and_anything_else_samples():
    assert not chat(temperature=0, top_p=0.5).sampling.do_sample
    assert chat().sampling.do_sample
    sampling = chat(temperature=0.5, top_p=1, presence_penalty=1, seed=3, logit_bias={"5": -100}).sampling
    assert (sampling.temperature, sampling.top_p, sampling.presence_penalty) == (0.5, None, 1)
    assert (sampling.seed, sampling.logit_bias) == (3, ((5, -100.0),))


def test_logit_bias_is_an_object_of_ids_or_a_list_with_a_place_for_each_token():
    assert chat(logit_bias=[0, 1.5, 0, -2]).sampling.logit_bias == ((1, 1.5), (3, -2.0))
    assert completion(logit_bias=[0.0, 3]).sampling.logit_bias == ((1, 3.0),)
    assert chat(logit_bias=[]).sampling.logit_bias == chat(logit_bias={"5": 0}).sampling.logit_bias == ()
    with pytest.raises(Invalid, match=r"`logit_bias` must be >= -100.0 and <= 100.0"):
        chat(logit_bias=[0, -100.5])


def test_stop_is_a_string_or_a_list():
    assert chat(stop="END").stop == ("END",)
    assert chat(stop=["a", "b"]).stop == ("a", "b")
    assert chat(stop=None).stop == ()


def test_the_newer_name_of_the_limit_wins():
    assert chat(max_tokens=5, max_completion_tokens=7).max_new_tokens == 7
    assert chat(max_tokens=5).max_new_tokens == 5
    assert chat(Terms(release=tgi_release("2.0"))).max_new_tokens == 100


def test_messages_keep_what_a_template_can_show():
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
            Message("developer", "Be kind."),
            Message("user", "ab", "Ann"),
            Message("assistant", None, tool_calls=(ToolCall("f", "{}", "0"),)),
            Message("tool", "42", tool_call_id="0"),
        )
    )


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_object", "value": {"type": "array"}}, {"type": "array"}),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "null"}}}, {"type": "null"}),
        ({"type": "json", "value": {"type": "object"}}, {"type": "object"}),
        ({"type": "json_object", "schema": {"type": "array"}}, {"type": "array"}),
    ],
)
def test_a_response_format_is_a_grammar(form: dict[str, Any], schema: dict[str, Any]):
    grammar = chat(response_format=form).sampling.grammar
    assert grammar is not None
    assert json.loads(grammar.source) == schema
    assert chat(response_format={"type": "text"}).sampling.grammar is None


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ({"n": 0}, Invalid, "`n` must be > 0 and <= 4. Given: 0"),
        ({"n": 5}, Invalid, "`n` must be > 0 and <= 4. Given: 5"),
        ({"tools": [{}]}, Misshapen, "tools: Object missing required field `function`"),
        ({"tools": TOOLS, "tool_choice": "g"}, ToolFailed, "Tool with name g not found"),
        ({"tools": TOOLS, "response_format": {"type": "json_object"}}, ToolFailed, "mutually exclusive"),
        ({"logit_bias": {"5": 101}}, Invalid, "`logit_bias` must be >= -100.0 and <= 100.0"),
        ({"response_format": {"type": "json_schema"}}, Invalid, "`json_schema` is missing"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
            Invalid,
            "`json_schema.schema` is missing",
        ),
        (
            {"response_format": {"type": "json_schema", "name": "n", "schema": {}}},
            Invalid,
            "`json_schema` is missing",
        ),
        ({"response_format": {"type": "bnf"}}, Invalid, "grammar is not valid: unknown type 'bnf'"),
        ({"top_logprobs": 2}, Invalid, "`logprobs` must be true"),
        ({"presence_penalty": 3}, Invalid, "`presence_penalty`"),
        ({"temperature": -1}, Invalid, "`temperature` must be strictly positive"),
        ({"max_tokens": 0}, Invalid, "`max_new_tokens` must be strictly positive"),
        ({"stop": list("abcde")}, Invalid, "`stop` supports up to 4"),
        ({"messages": [{"role": "user"}]}, Invalid, "a turn of role 'user' has no `content`"),
        ({"messages": [{"role": 1, "content": ""}]}, Misshapen, "Expected `str`, got `int`"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            Unsupported,
            "image_url",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(body: dict[str, Any], kind: type[NearstreamError], message: str):
    with pytest.raises(kind, match=message):
        chat(**body)


def test_tools_that_must_not_be_used_are_no_hindrance():
    assert chat(tools=[{}], tool_choice="none").prompt == chat().prompt


def test_several_alternatives_are_the_engines_matter_but_the_greedy_one_is_not():
    assert chat(logprobs=True, top_logprobs=3).sampling.top_n_tokens == 3
    assert chat(logprobs=True, top_logprobs=1).sampling.top_n_tokens == 1
    assert chat(logprobs=True, top_logprobs=1, temperature=0).sampling.top_n_tokens == 0


def test_a_completion_takes_several_prompts():
    assert [request.prompt for request in completions(prompt=["one", "two"])] == [
        TextPrompt("one"),
        TextPrompt("two"),
    ]
    with pytest.raises(Invalid, match=r"`n` times the number of prompts must be <= 4. Given: 6"):
        completions(prompt=["one", "two", "three"], n=2)
    with pytest.raises(BatchTooLarge) as refused:
        completion(prompt=["one"] * 5)
    assert str(refused.value) == "Number of prompts exceeds the maximum allowed batch size of 4"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"suffix": "the end"}, "`suffix` is not supported by the nearstream engine"),
        ({"best_of": 3}, "`best_of` is not supported by the nearstream engine: ask for `n` choices"),
        ({"best_of": 1, "n": 2}, "`best_of` is not supported"),
    ],
)
def test_what_a_completion_cannot_do_is_refused_by_name(body: dict[str, Any], message: str):
    with pytest.raises(Unsupported, match=message):
        completion(**body)


def test_what_asks_for_nothing_more_is_taken():
    assert completion(suffix="", best_of=1).prompt == TextPrompt("hi")
    assert len(completions(best_of=2, n=2)) == 2


@pytest.mark.parametrize(
    ("body", "lacks", "named"),
    [
        ({"messages": HELLO}, "top_n_tokens", "top_logprobs"),
        ({"messages": HELLO}, "grammar", "response_format"),
        ({"messages": HELLO, "tools": TOOLS}, "grammar", "tools"),
        ({"messages": HELLO}, "logit_bias", "logit_bias"),
        ({"prompt": "hi"}, "top_n_tokens", "logprobs"),
        ({"prompt": "hi"}, "prefill_logprobs", "echo"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_lacks_an_option_is_quoted_under_the_options_name_in_the_body(
    body: dict[str, Any], lacks: str, named: str, stream: bool
):
    read = openai.read_chat if "messages" in body else openai.read_completion
    parsed = read(json.dumps(body | {"stream": stream}).encode(), Terms())
    refused = parsed.error(Unsupported(lacks, "toy", "it has none"))
    assert refused.status == (200 if stream else 422)
    assert f"`{named}` is not supported by the toy engine: it has none" in refused.body.decode()
