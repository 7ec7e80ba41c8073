"""Tools: constrained answers, read as calls by the clients people have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from huggingface_hub import AsyncInferenceClient
from tests.contract.replica.scripted import Server, Witness, ids_of, serving, settings

from nearstream.replica.openai import server as plain
from nearstream.replica.tgi import server as tgi
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

ASK = [{"role": "user", "content": "What is the weather in Köln?"}]
PARAMETERS = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Now", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}},
]
ARGUMENTS = '{"place": "Köln}"}'
CALL = '{"name": "weather", "arguments": ' + ARGUMENTS + "}"
TERMS = Terms(limits=Limits(max_input_tokens=1024, max_total_tokens=2048))


def saying(text: str, directory: Path) -> Witness:
    return Witness(ids_of(text, directory), lacks=frozenset())


def client(server: Server) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0)


async def test_a_call_comes_whole(tmp_path: Path):
    engine = saying(CALL, tmp_path)
    async with serving(settings(tmp_path, terms=TERMS), engine) as server, client(server) as asked:
        answer = await asked.chat.completions.create(
            model="tgi", messages=ASK, tools=TOOLS, tool_choice="required"
        )
    (choice,) = answer.choices
    (call,) = choice.message.tool_calls
    assert (call.type, call.function.name, call.function.arguments) == ("function", "weather", ARGUMENTS)
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    schema = json.loads(engine.asked[0][1].grammar.source)["schema"]
    names = [form["properties"]["name"]["const"] for form in schema["anyOf"]]
    assert names == ["weather", "clock"]
    assert schema["anyOf"][0]["properties"]["arguments"] == PARAMETERS


async def test_a_call_comes_as_it_is_written(tmp_path: Path):
    async with (
        serving(settings(tmp_path, terms=TERMS), saying(CALL, tmp_path)) as server,
        client(server) as asked,
    ):
        stream = await asked.chat.completions.create(model="tgi", messages=ASK, tools=TOOLS, stream=True)
        choices = [chunk.choices[0] async for chunk in stream]
    pieces = [call for choice in choices for call in choice.delta.tool_calls or []]
    assert [piece.function.name for piece in pieces if piece.function.name] == ["weather"]
    assert len([piece for piece in pieces if piece.id]) == 1
    assert "".join(piece.function.arguments for piece in pieces) == ARGUMENTS
    assert len([piece for piece in pieces if piece.function.arguments]) > 3
    assert choices[-1].finish_reason == "tool_calls"


async def test_huggingface_hub_reads_calls_too(tmp_path: Path):
    async with serving(settings(tmp_path, terms=TERMS), saying(CALL, tmp_path)) as server:
        asked: Any = AsyncInferenceClient(base_url=server.url)
        answer = await asked.chat_completion(ASK, tools=TOOLS, tool_choice="required")
        assert answer.choices[0].message.tool_calls[0].function.name == "weather"
        stream = await asked.chat_completion(ASK, tools=TOOLS, stream=True)
        pieces = [
            call for chunk in [c async for c in stream] for call in chunk.choices[0].delta.tool_calls or []
        ]
    assert "".join(piece.function.arguments for piece in pieces) == ARGUMENTS


@pytest.mark.parametrize("stream", [True, False])
async def test_on_auto_the_model_may_answer_in_words(tmp_path: Path, stream: bool):
    engine = saying('Say "hi"\n😀 ü', tmp_path)
    async with serving(settings(tmp_path, terms=TERMS), engine) as server, client(server) as asked:
        answer = await asked.chat.completions.create(model="tgi", messages=ASK, tools=TOOLS, stream=stream)
        if stream:
            pieces = [chunk.choices[0].delta.content async for chunk in answer]
            said = "".join(pieces)
            assert len(pieces) > 3
        else:
            said = answer.choices[0].message.content
            assert answer.choices[0].finish_reason == "stop"
    assert said == 'Say "hi"\n😀 ü'
    offered = engine.asked[0][1].grammar
    assert (offered.kind, json.loads(offered.source)["words"]) == ("tool_calls", True)


@pytest.mark.parametrize("choice", ["any", "required", {"type": "any"}])
async def test_any_means_required(tmp_path: Path, choice: Any):
    engine = saying(CALL, tmp_path)
    async with serving(settings(tmp_path, terms=TERMS), engine) as server, client(server) as asked:
        answer = await asked.chat.completions.create(
            model="tgi", messages=ASK, tools=TOOLS, tool_choice=choice
        )
    assert answer.choices[0].finish_reason == "tool_calls"
    assert not json.loads(engine.asked[0][1].grammar.source)["words"]


@pytest.mark.parametrize("serve", [tgi.serve, plain.serve], ids=["tgi", "openai"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("less", [1, 3, 12])
async def test_a_call_that_is_cut_ends_as_length_and_one_that_is_whole_does_not(
    tmp_path: Path, serve: Any, stream: bool, less: int
):
    """`less` tokens than it takes with its end; without the last one nothing is missing."""
    engine, told = saying(CALL, tmp_path), settings(tmp_path, terms=TERMS)
    async with serving(told, engine, serve=serve) as server, client(server) as asked:
        answer = await asked.chat.completions.create(
            model="toy/model", messages=ASK, tools=TOOLS, max_tokens=len(engine.ids) - less, stream=stream
        )
        choices = [chunk.choices[0] async for chunk in answer] if stream else answer.choices
    if stream:
        pieces = [call for choice in choices for call in choice.delta.tool_calls or []]
        arguments = "".join([piece.function.arguments for piece in pieces])
    else:
        arguments = choices[0].message.tool_calls[0].function.arguments
    assert choices[-1].finish_reason == ("tool_calls" if arguments == ARGUMENTS else "length")
    assert (arguments == ARGUMENTS) == (less == 1)


@pytest.mark.parametrize("serve", [tgi.serve, plain.serve], ids=["tgi", "openai"])
@pytest.mark.parametrize("stream", [True, False])
async def test_several_calls_come_where_they_are_allowed_each_with_an_id(
    tmp_path: Path, serve: Any, stream: bool
):
    text = f"I look. <tool_call>\n{CALL}\n</tool_call>\n<tool_call>\n{CALL}\n</tool_call>"
    engine, told = saying(text, tmp_path), settings(tmp_path, terms=TERMS)
    async with serving(told, engine, serve=serve) as server, client(server) as asked:
        if stream:
            async with asked.chat.completions.stream(
                model="toy/model", messages=ASK, tools=TOOLS, parallel_tool_calls=True
            ) as events:
                answer = await events.get_final_completion()
        else:
            answer = await asked.chat.completions.create(
                model="toy/model", messages=ASK, tools=TOOLS, parallel_tool_calls=True
            )
        await asked.chat.completions.create(
            model="toy/model", messages=ASK, tools=TOOLS, parallel_tool_calls=False
        )
    (choice,) = answer.choices
    calls = choice.message.tool_calls
    assert [(call.function.name, call.function.arguments) for call in calls] == [("weather", ARGUMENTS)] * 2
    assert (choice.message.content, choice.finish_reason) == ("I look. ", "tool_calls")
    assert len({call.id for call in calls}) == 2
    assert all(len(call.id) == 9 and call.id.isascii() and call.id.isalnum() for call in calls)
    most = [json.loads(sampling.grammar.source)["most"] for _, sampling, _ in engine.asked]
    assert most == [16, 1]


async def test_openais_dialect_offers_calls_beside_a_response_format(tmp_path: Path):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    form: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    engine, told = saying('{"city": "Köln"}', tmp_path), settings(tmp_path, terms=TERMS)
    async with serving(told, engine, serve=plain.serve) as server, client(server) as asked:
        answer = await asked.chat.completions.create(
            model="toy/model", messages=ASK, tools=TOOLS, response_format=form
        )
        none: Any = []
        alone = await asked.chat.completions.create(
            model="toy/model", messages=ASK, tools=none, response_format=form
        )
    for completion in (answer, alone):
        assert json.loads(completion.choices[0].message.content) == {"city": "Köln"}
    offered, plain_schema = (sampling.grammar for _, sampling, _ in engine.asked)
    assert json.loads(offered.source)["otherwise"] == json.loads(plain_schema.source) == schema


async def test_stop_strings_end_words_beside_tools(tmp_path: Path):
    engine, told = saying("one two three", tmp_path), settings(tmp_path, terms=TERMS)
    async with serving(told, engine, serve=plain.serve) as server, client(server) as asked:
        answer = await asked.chat.completions.create(
            model="toy/model", messages=ASK, tools=TOOLS, stop=" three"
        )
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("one two", "stop")


async def test_a_template_that_knows_no_tools_gets_them_in_the_last_turn(tmp_path: Path):
    async with (
        serving(settings(tmp_path, terms=TERMS), saying(CALL, tmp_path)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        response = await session.post("/chat_tokenize", json={"messages": ASK, "tools": TOOLS})
        text = (await response.json())["templated_text"]
        plain = await session.post(
            "/chat_tokenize", json={"messages": ASK, "tools": TOOLS, "tool_choice": "none"}
        )
        assert "weather in Köln?<|end|>" in (await plain.json())["templated_text"]
    assert 'Köln?\n\n---\n[{"type": "function", "function": {"name": "weather"' in text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"tool_choice": "nothing"}, "Tool error: Tool with name nothing not found"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "x"}}},
            "Tool error: Tool with name x not found",
        ),
        (
            {"response_format": {"type": "json_object"}},
            "Tool error: Grammar and tools are mutually exclusive",
        ),
        (
            {"tools": [], "response_format": {"type": "json_object"}},
            "Tool error: Grammar and tools are mutually exclusive",
        ),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_tool_error_comes_before_any_stream(
    tmp_path: Path, changes: dict[str, Any], error: str, stream: bool
):
    async with (
        serving(settings(tmp_path), saying(CALL, tmp_path)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        body = {"messages": ASK, "tools": TOOLS, "stream": stream} | changes
        response = await session.post("/v1/chat/completions", json=body)
        assert (response.status, await response.json()) == (422, {"error": error, "error_type": "tool_error"})


async def test_an_answer_that_is_neither_call_nor_words_is_an_error(tmp_path: Path):
    async with (
        serving(settings(tmp_path, terms=TERMS), saying("hello", tmp_path)) as server,
        client(server) as asked,
    ):
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            await asked.chat.completions.create(
                model="tgi", messages=ASK, tools=TOOLS, tool_choice="required"
            )
    error = "Tool error: Failed to parse generated text: 'hello'"
    assert refused.value.response.json() == {"error": error, "error_type": "tool_error"}
