"""/v1/responses, judged by OpenAI's own client: created, streamed, parsed, kept, refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pydantic
import pytest
from tests.contract.replica.scripted import Server, Witness, ids_of, serving, settings

from nearstream.replica.openai.server import serve
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

MODEL = "toy/model"
ANSWER = "hello 😀 world"
TERMS = Terms(limits=Limits(max_input_tokens=1024, max_total_tokens=2048))
PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOLS: Any = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}]
CALL = '{"name": "weather", "arguments": {"a": 1}}'
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class City(pydantic.BaseModel):
    city: str


@asynccontextmanager
async def saying(
    text: str, tmp_path: Path, **changes: Any
) -> AsyncIterator[tuple[Server, openai.AsyncOpenAI]]:
    engine = Witness(ids_of(text, tmp_path), lacks=frozenset())
    async with serving(settings(tmp_path, terms=TERMS, **changes), engine, serve=serve) as server:
        key = changes.get("api_key", "unused")
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0) as asked:
            yield server, asked


def prompt_of(server: Server, tmp_path: Path) -> str:
    """What the engine was asked last, as text."""
    from nearstream.text.tokenizer import load_tokenizer  # noqa: PLC0415

    return load_tokenizer(tmp_path).decode(server.engine.asked[-1][0])


async def test_a_response_comes_whole_with_what_was_asked_and_its_usage(tmp_path: Path):
    async with saying(ANSWER, tmp_path) as (server, asked):
        response = await asked.responses.create(
            model=MODEL, input="Say hello", instructions="Be kind", temperature=0, metadata={"a": "b"},
            max_output_tokens=99,
        )  # fmt: skip
        assert response.output_text == ANSWER
        assert (response.status, response.error, response.incomplete_details) == ("completed", None, None)
        assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
        assert (response.metadata, response.instructions, response.temperature) == ({"a": "b"}, "Be kind", 0)
        assert (response.max_output_tokens, response.model) == (99, MODEL)
        assert "Be kind" in prompt_of(server, tmp_path)


async def test_a_stream_has_every_typed_event_in_order(tmp_path: Path):
    async with saying(ANSWER, tmp_path) as (_, asked):
        stream = await asked.responses.create(model=MODEL, input="Say hello", stream=True)
        events = [event async for event in stream]
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.completed",
    ]  # fmt: skip
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) == 3
    assert "".join(delta.delta for delta in deltas) == ANSWER == events[-4].text
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.output_text == ANSWER
    assert events[-1].response.usage.output_tokens > 3


@pytest.mark.parametrize("stream", [False, True])
async def test_a_limit_of_tokens_makes_it_incomplete(tmp_path: Path, stream: bool):
    async with saying(ANSWER, tmp_path) as (_, asked):
        response = await asked.responses.create(model=MODEL, input="hi", max_output_tokens=2, stream=stream)
        if stream:
            events = [event async for event in response]
            assert events[-1].type == "response.incomplete"
            response = events[-1].response
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.output[0].status == "incomplete"
    assert response.usage.output_tokens == 2


async def test_a_function_is_called_and_its_output_answered(tmp_path: Path):
    async with saying(CALL, tmp_path) as (server, asked):
        response = await asked.responses.create(
            model=MODEL, input="What is it?", tools=TOOLS, tool_choice="required", store=False
        )
        (call,) = response.output
        assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weather", {"a": 1})
        assert len(call.call_id) == 9 and call.call_id.isalnum()
        items: Any = [
            {"role": "user", "content": [{"type": "input_text", "text": "What is it?"}]},
            *response.output,
            {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
        ]
        await asked.responses.create(model=MODEL, input=items, tools=TOOLS)
        prompt = prompt_of(server, tmp_path)
    assert "sunny" in prompt and "weather" in prompt


async def test_a_call_is_streamed_as_it_is_written(tmp_path: Path):
    async with (
        saying(CALL, tmp_path) as (_, asked),
        asked.responses.stream(model=MODEL, input="What is it?", tools=TOOLS) as stream,
    ):
        events = [event async for event in stream]
        final = await stream.get_final_response()
    kinds = [event.type for event in events]
    assert "response.output_item.added" in kinds
    assert kinds.count("response.function_call_arguments.delta") > 3
    (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert json.loads(done.arguments) == {"a": 1}
    assert kinds[-2:] == ["response.output_item.done", "response.completed"]
    assert final.output[0].arguments == done.arguments


async def test_on_auto_the_model_may_answer_in_words(tmp_path: Path):
    async with saying(ANSWER, tmp_path) as (_, asked):
        response = await asked.responses.create(model=MODEL, input="hi", tools=TOOLS)
        assert response.output_text == ANSWER
        stream = await asked.responses.create(model=MODEL, input="hi", tools=TOOLS, stream=True)
        deltas = [event async for event in stream if event.type == "response.output_text.delta"]
    assert "".join(event.delta for event in deltas) == ANSWER
    assert len(deltas) == 3


async def test_a_call_that_is_cut_is_incomplete(tmp_path: Path):
    async with saying(CALL, tmp_path) as (server, asked):
        count = len(server.engine.ids) - 3
        response = await asked.responses.create(
            model=MODEL, input="hi", tools=TOOLS, tool_choice="required", max_output_tokens=count
        )
    assert (response.status, response.output[0].status) == ("incomplete", "incomplete")


async def test_words_and_calls_follow_each_other(tmp_path: Path):
    text = f"I look. <tool_call>\n{CALL}\n</tool_call>\n<tool_call>\n{CALL}\n</tool_call>"
    async with saying(text, tmp_path) as (_, asked):
        response = await asked.responses.create(
            model=MODEL, input="hi", tools=TOOLS, parallel_tool_calls=True
        )
    assert [item.type for item in response.output] == ["message", "function_call", "function_call"]
    assert response.output_text == "I look. "
    assert len({item.call_id for item in response.output[1:]}) == 2


async def test_the_clients_parser_gets_what_its_schema_wants(tmp_path: Path):
    async with saying('{"city": "Köln"}', tmp_path) as (server, asked):
        response = await asked.responses.parse(model=MODEL, input="Where?", text_format=City)
        assert response.output_parsed == City(city="Köln")
        assert json.loads(server.engine.asked[-1][1].grammar.source)["properties"]["city"]["type"] == "string"
        both = await asked.responses.parse(model=MODEL, input="Where?", text_format=City, tools=TOOLS)
        assert both.output_parsed == City(city="Köln")


async def test_log_probabilities_come_where_they_are_included(tmp_path: Path):
    async with saying(ANSWER, tmp_path) as (_, asked):
        response = await asked.responses.create(
            model=MODEL, input="hi", include=["message.output_text.logprobs"]
        )
    logprobs = response.output[0].content[0].logprobs
    assert b"".join(bytes(piece.bytes) for piece in logprobs) == ANSWER.encode()


async def test_a_response_is_kept_gone_on_from_and_deleted(tmp_path: Path):
    async with saying(ANSWER, tmp_path) as (server, asked):
        first = await asked.responses.create(model=MODEL, input="My name is Ann")
        assert (await asked.responses.retrieve(first.id)).output_text == ANSWER
        items = await asked.responses.input_items.list(first.id)
        assert items.data[0].content[0].text == "My name is Ann"
        second = await asked.responses.create(model=MODEL, input="What is it?", previous_response_id=first.id)
        assert second.previous_response_id == first.id
        prompt = prompt_of(server, tmp_path)
        assert prompt.index("Ann") < prompt.index(ANSWER) < prompt.index("What is it?")
        await asked.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            await asked.responses.retrieve(first.id)
        with pytest.raises(openai.BadRequestError) as refused:
            await asked.responses.create(model=MODEL, input="hi", previous_response_id=first.id)
        assert refused.value.param == "previous_response_id"


async def test_what_is_not_to_be_stored_is_not_kept(tmp_path: Path):
    async with saying(ANSWER, tmp_path) as (_, asked):
        response = await asked.responses.create(model=MODEL, input="hi", store=False)
        with pytest.raises(openai.NotFoundError, match="not stored"):
            await asked.responses.retrieve(response.id)


async def test_a_kept_response_is_shown_to_nobody_without_the_key(tmp_path: Path):
    async with saying(ANSWER, tmp_path, api_key="right") as (server, asked):
        response = await asked.responses.create(model=MODEL, input="hi")
        other = openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0)
        with pytest.raises(openai.AuthenticationError):
            await other.responses.retrieve(response.id)
        assert (await asked.responses.retrieve(response.id)).id == response.id


async def test_a_stream_that_breaks_ends_as_failed(tmp_path: Path):
    async with saying("123456", tmp_path) as (server, asked):
        server.engine.pause_at = 3
        stream = await asked.responses.create(model=MODEL, input="hi", stream=True)
        events = []
        async for event in stream:
            events.append(event)
            if event.type == "response.output_text.delta" and event.delta == "2":
                server.engine.die()
    assert events[-1].type == "response.failed"
    assert (events[-1].response.status, events[-1].response.error.code) == ("failed", "server_error")


@pytest.mark.parametrize(
    ("changes", "param", "message"),
    [
        ({"input": ""}, "input", "empty"),
        ({"input": []}, "input", "empty"),
        ({"input": [{"role": "user"}]}, "input", "no `content`"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input_image",
         "text only"),
        ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "input",
         "unknown part"),
        ({"input": [{"type": "computer_call"}]}, "input", "computer_call"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input", "`arguments`"),
        ({"max_output_tokens": 4000}, "max_output_tokens", "context"),
        ({"max_output_tokens": 0}, "max_output_tokens", "at least 1"),
        ({"temperature": 3}, "temperature", "from 0 to 2"),
        ({"truncation": "auto"}, "truncation", "shorten"),
        ({"background": True}, "background", "stream"),
        ({"conversation": "c"}, "conversation", "previous_response_id"),
        ({"include": ["file_search_call.results"]}, "include", "file_search_call"),
        ({"tools": [{"type": "web_search"}]}, "tools", "web_search"),
        ({"extra_body": {"temprature": 1}}, "temprature", "unknown field"),
    ],
)  # fmt: skip
async def test_what_is_not_done_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], param: str, message: str
):
    async with saying(ANSWER, tmp_path) as (_, asked):
        with pytest.raises(openai.BadRequestError) as refused:
            await asked.responses.create(**{"model": MODEL, "input": "hi"} | changes)
    assert refused.value.param == param
    assert message in str(refused.value)
