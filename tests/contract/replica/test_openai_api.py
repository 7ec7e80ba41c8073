"""OpenAI's API alone, judged by its own client: answers, stop strings, errors, models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import openai
import pytest
from tests.contract.replica.scripted import Server, Witness, ids_of, serving, settings

from nearstream.replica.openai.server import serve
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

ANSWER = "hello 😀 world"
MODEL = "toy/model"
ASK = [{"role": "user", "content": "Say hello"}]
TERMS = Terms(limits=Limits(max_input_tokens=1024, max_total_tokens=2048))
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    engine = Witness(ids_of(ANSWER, tmp_path))
    async with serving(settings(tmp_path, terms=TERMS), engine, serve=serve) as running:
        yield running


def client(server: Server, key: str = "unused") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0)


async def events(server: Server, **body: object) -> list[str]:
    """The data of a chat's events as they are on the wire."""
    asked = {"messages": ASK, "stream": True} | body
    async with (
        aiohttp.ClientSession(server.url) as session,
        session.post("/v1/chat/completions", json=asked) as response,
    ):
        text = await response.text()
    return [event.removeprefix("data: ") for event in text.split("\n\n") if event]


async def test_a_chat_streams_with_its_usage_last(server: Server):
    async with client(server) as asked:
        stream = await asked.chat.completions.create(
            model=MODEL, messages=ASK, stream=True, stream_options={"include_usage": True}
        )
        *chunks, usage = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == ANSWER
    assert [chunk.choices[0].finish_reason for chunk in chunks][-2:] == [None, "stop"]
    assert usage.choices == []
    assert usage.usage.total_tokens == usage.usage.prompt_tokens + usage.usage.completion_tokens
    assert {chunk.model for chunk in chunks} == {MODEL}


async def test_the_role_comes_once_and_done_ends_the_stream(server: Server):
    *chunks, done = await events(server)
    deltas = [json.loads(chunk)["choices"][0]["delta"] for chunk in chunks]
    assert done == "[DONE]"
    assert [delta.get("role") for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    assert not any("usage" in json.loads(chunk) for chunk in chunks)


async def test_a_whole_chat_lists_its_tokens_with_their_bytes(server: Server):
    async with client(server) as asked:
        answer = await asked.chat.completions.create(
            model=MODEL, messages=ASK, logprobs=True, top_logprobs=1, temperature=0
        )
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", ANSWER)
    assert choice.finish_reason == "stop"
    listed = choice.logprobs.content
    assert b"".join(bytes(piece.bytes) for piece in listed) == ANSWER.encode()
    assert all(piece.top_logprobs[0].token == piece.token for piece in listed)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_ends_before_a_stop_string_that_several_tokens_make(server: Server, stream: bool):
    async with client(server) as asked:
        answer = await asked.chat.completions.create(
            model=MODEL, messages=ASK, stop=["😀 wo", "never"], stream=stream
        )
        if not stream:
            (choice,) = answer.choices
            assert (choice.message.content, choice.finish_reason) == ("hello ", "stop")
            return
        chunks = [chunk async for chunk in answer]
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "hello "
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_text_ends_before_its_stop_string_and_after_its_echo(server: Server, stream: bool):
    async with client(server) as asked:
        answer = await asked.completions.create(
            model=MODEL, prompt="Say world: ", stop="world", echo=True, stream=stream
        )
        choices = [chunk.choices[0] async for chunk in answer] if stream else answer.choices
    assert "".join(choice.text for choice in choices) == "Say world: hello 😀 "
    assert choices[-1].finish_reason == "stop"


async def test_a_token_is_held_back_only_while_a_stop_string_may_still_begin(tmp_path: Path):
    engine = Witness(ids_of("123456", tmp_path))
    engine.pause_at = 3
    async with serving(settings(tmp_path), engine, serve=serve) as server, client(server) as asked:
        stream = await asked.chat.completions.create(model=MODEL, messages=ASK, stop="3x", stream=True)
        async with asyncio.timeout(10):
            said = [(await anext(stream)).choices[0].delta.content for _ in range(2)]
            assert said == ["1", "2"]  # "3" may begin the stop string, and the engine is paused
            engine.resume()
            said += [chunk.choices[0].delta.content async for chunk in stream]
    assert said[:3] == ["1", "2", "34"]
    assert "".join(said) == "123456"


async def test_without_a_stop_string_a_token_is_sent_at_once(tmp_path: Path):
    engine = Witness(ids_of("123456", tmp_path))
    engine.pause_at = 3
    async with serving(settings(tmp_path), engine, serve=serve) as server, client(server) as asked:
        stream = await asked.chat.completions.create(model=MODEL, messages=ASK, stream=True)
        async with asyncio.timeout(10):
            assert [(await anext(stream)).choices[0].delta.content for _ in range(2)] == ["1", "2"]
        engine.resume()
        assert len([chunk async for chunk in stream]) > 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_limit_of_tokens_ends_an_answer_as_length(server: Server, stream: bool):
    async with client(server) as asked:
        answer = await asked.chat.completions.create(
            model=MODEL, messages=ASK, max_completion_tokens=2, stream=stream
        )
        choices = [chunk.choices[0] async for chunk in answer] if stream else answer.choices
    assert choices[-1].finish_reason == "length"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called_as_openai_writes_it(tmp_path: Path, stream: bool):
    engine = Witness(ids_of('{"name": "weather", "arguments": {"a": 1}}', tmp_path), lacks=frozenset())
    told = settings(tmp_path, terms=TERMS)
    async with serving(told, engine, serve=serve) as server, client(server) as asked:
        answer = await asked.chat.completions.create(
            model=MODEL, messages=ASK, tools=TOOLS, tool_choice="required", stream=stream
        )
        if not stream:
            (choice,) = answer.choices
            (call,) = choice.message.tool_calls
            assert choice.message.content is None
            assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"a": 1})
            assert choice.finish_reason == "tool_calls"
            return
        choices = [chunk.choices[0] async for chunk in answer]
    pieces = [choice.delta.tool_calls[0] for choice in choices if choice.delta.tool_calls]
    assert pieces[0].function.name == "weather"
    assert json.loads("".join(piece.function.arguments for piece in pieces)) == {"a": 1}
    assert [choice.delta.role for choice in choices].count("assistant") == 1
    assert choices[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("options", "kind", "param", "code"),
    [
        ({"temperature": 3}, openai.BadRequestError, "temperature", None),
        ({"stop": list("abcdefgh")}, openai.BadRequestError, "stop", None),
        ({"n": 99}, openai.BadRequestError, "n", None),
        ({"top_logprobs": 2}, openai.BadRequestError, "logprobs", None),
        ({"max_tokens": 4000}, openai.BadRequestError, "max_tokens", "context_length_exceeded"),
        ({"messages": [{"role": 7, "content": "hi"}]}, openai.BadRequestError, "messages[0].role", None),
        ({"messages": [{"role": "user", "content": "hi " * 2000}]}, openai.BadRequestError, "messages",
         "context_length_exceeded"),
        ({"response_format": {"type": "json_object"}}, openai.BadRequestError, "response_format",
         "unsupported_parameter"),
        ({"model": "another"}, openai.NotFoundError, None, "model_not_found"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_is_openais_exception_with_message_param_and_code(
    server: Server,
    options: dict[str, object],
    kind: type[openai.APIStatusError],
    param: str | None,
    code: str | None,
    stream: bool,
):
    async with client(server) as asked:
        with pytest.raises(kind) as failure:
            await asked.chat.completions.create(
                **{"model": MODEL, "messages": ASK, "stream": stream} | options
            )
    error = failure.value
    assert (error.type, error.param, error.code) == ("invalid_request_error", param, code)
    assert error.body["message"]


async def test_a_full_server_is_a_rate_limit_error(tmp_path: Path):
    limits = Limits(max_input_tokens=64, max_total_tokens=128, max_concurrent_requests=1)
    engine = Witness(ids_of(ANSWER, tmp_path))
    engine.pause_at = 1
    told = settings(tmp_path, terms=Terms(limits=limits))
    async with serving(told, engine, serve=serve) as server, client(server) as asked:
        first = asyncio.create_task(asked.chat.completions.create(model=MODEL, messages=ASK))
        async with asyncio.timeout(10):
            while not engine.said:  # noqa: ASYNC110 - nothing tells us
                await asyncio.sleep(0.002)
        with pytest.raises(openai.RateLimitError) as failure:
            await asked.chat.completions.create(model=MODEL, messages=ASK)
        assert failure.value.code == "rate_limit_exceeded"
        engine.resume()
        assert (await first).choices[0].message.content == ANSWER


async def test_a_stream_that_breaks_raises_in_the_client_with_what_was_said_before(tmp_path: Path):
    engine = Witness(ids_of("123456", tmp_path))
    engine.pause_at = 3
    async with serving(settings(tmp_path), engine, serve=serve) as server, client(server) as asked:
        stream = await asked.chat.completions.create(model=MODEL, messages=ASK, stream=True)
        said = [(await anext(stream)).choices[0].delta.content for _ in range(2)]
        engine.die()
        with pytest.raises(openai.APIError) as failure:
            [chunk async for chunk in stream]
    assert said == ["1", "2"]
    assert failure.value.type == "server_error"


async def test_a_server_whose_model_still_loads_says_so(tmp_path: Path):
    gate = asyncio.Event()
    engine = Witness(ids_of(ANSWER, tmp_path))
    async with serving(settings(tmp_path), engine, serve=serve, gate=gate) as server, client(server) as asked:
        with pytest.raises(openai.InternalServerError) as failure:
            await asked.chat.completions.create(model=MODEL, messages=ASK)
        assert (failure.value.status_code, failure.value.code) == (503, "service_unavailable")
        gate.set()


async def test_a_wrong_key_is_an_authentication_error(tmp_path: Path):
    engine = Witness(ids_of(ANSWER, tmp_path))
    async with serving(settings(tmp_path, api_key="right"), engine, serve=serve) as server:
        async with client(server, "wrong") as asked:
            with pytest.raises(openai.AuthenticationError) as failure:
                await asked.chat.completions.create(model=MODEL, messages=ASK)
        assert failure.value.code == "invalid_api_key"
        async with client(server, "right") as asked:
            answer = await asked.chat.completions.create(model=MODEL, messages=ASK)
            assert answer.choices[0].message.content == ANSWER


async def test_models_are_listed_and_found_by_name(server: Server):
    async with client(server) as asked:
        listed = await asked.models.list()
        assert [model.id for model in listed.data] == [MODEL]
        assert (await asked.models.retrieve(MODEL)).id == MODEL
        with pytest.raises(openai.NotFoundError) as failure:
            await asked.models.retrieve("another")
    assert failure.value.code == "model_not_found"


async def test_an_unknown_path_and_a_body_that_is_no_json_are_openais_errors(server: Server):
    async with aiohttp.ClientSession(server.url) as session:
        async with session.post("/generate", json={"inputs": "hi"}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (404, "unknown_url")
        async with session.post("/v1/chat/completions", data=b"{") as response:
            assert response.status == 400
            assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_invocations_take_both_kinds_of_body(server: Server):
    async with aiohttp.ClientSession(server.url) as session:
        async with session.post("/invocations", json={"messages": ASK}) as response:
            assert (await response.json())["object"] == "chat.completion"
        async with session.post("/invocations", json={"prompt": "hi"}) as response:
            assert (await response.json())["object"] == "text_completion"
        async with session.get("/ping") as response:
            assert response.status == 200


async def test_metrics_do_not_have_tgis_names(server: Server):
    async with client(server) as asked:
        await asked.chat.completions.create(model=MODEL, messages=ASK)
    async with aiohttp.ClientSession(server.url) as session, session.get("/metrics") as response:
        text = await response.text()
    assert "nearstream_request_success 1" in text
    assert "tgi_" not in text
