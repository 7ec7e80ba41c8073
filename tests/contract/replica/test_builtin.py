"""The whole model server on the built-in model: real tokens, real clients, the real engine's refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from huggingface_hub import AsyncInferenceClient
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.replica.builtin import serving_builtin

from nearstream.models.builtin import builtin_path
from nearstream.text.tokenizer import load_tokenizer

TOKENIZER = load_tokenizer(builtin_path())
ASK = [{"role": "user", "content": "Hello, who are you?"}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    async with serving_builtin() as address:
        yield address


@pytest.mark.asyncio(loop_scope="module")
async def test_streamed_and_whole_answers_say_the_same(url: str):
    client: Any = AsyncInferenceClient(base_url=url)
    options = {"max_new_tokens": 40, "return_full_text": False}
    stream = await client.text_generation("Once upon a time", details=True, stream=True, **options)
    events = [event async for event in stream]
    whole = await client.text_generation("Once upon a time", details=True, **options)
    assert events[-1].generated_text == whole.generated_text
    assert "".join(event.token.text for event in events if not event.token.special) == whole.generated_text
    assert [event.token.id for event in events] == [token.id for token in whole.details.tokens]
    assert all(token.logprob <= 0 for token in whole.details.tokens)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_chat_is_answered(url: str):
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="unused") as client:
        stream = await client.chat.completions.create(
            model="tgi", messages=ASK, stream=True, max_tokens=32, temperature=0
        )
        said = "".join([chunk.choices[0].delta.content async for chunk in stream])
        whole = await client.chat.completions.create(model="tgi", messages=ASK, max_tokens=32, temperature=0)
    assert said.strip()
    assert whole.choices[0].message.content == said


@pytest.mark.asyncio(loop_scope="module")
async def test_a_seed_repeats_an_answer(url: str):
    client: Any = AsyncInferenceClient(base_url=url)
    options = {"max_new_tokens": 20, "do_sample": True, "seed": 7, "details": True}
    first = await client.text_generation("Once", **options)
    assert first.details.seed == 7
    assert first == await client.text_generation("Once", **options)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_stop_string_is_kept_and_ends_the_answer(url: str):
    client: Any = AsyncInferenceClient(base_url=url)
    options = {"max_new_tokens": 60, "return_full_text": False, "details": True}
    free = await client.text_generation("Once upon a time", **options)
    stop = free.generated_text[8:12]
    answer = await client.text_generation("Once upon a time", stop=[stop], **options)
    assert answer.details.finish_reason == "stop_sequence"
    assert stop in answer.generated_text
    assert free.generated_text.startswith(answer.generated_text)
    assert stop not in answer.generated_text[: -len(answer.details.tokens[-1].text) - len(stop)]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("option", [{"typical_p": 0.5}, {"watermark": True}, {"top_n_tokens": 3}])
async def test_what_the_engine_lacks_is_refused(url: str, option: dict[str, Any]):
    async with aiohttp.ClientSession(url) as session:
        body = {"inputs": "hi", "parameters": option}
        response = await session.post("/generate", json=body)
        assert response.status == 422
        assert f"`{next(iter(option))}` is not supported" in (await response.json())["error"]


@pytest.mark.asyncio(loop_scope="module")
async def test_typical_p_beside_a_top_p_is_streamed_as_anything_else(url: str):
    client: Any = AsyncInferenceClient(base_url=url)
    options = {"typical_p": 0.95, "top_p": 0.95, "seed": 7, "details": True, "return_full_text": False}
    stream = await client.text_generation("Once", stream=True, max_new_tokens=20, **options)
    events = [event async for event in stream]
    assert events[-1].generated_text == "".join(event.token.text for event in events)
    assert events[-1].details.generated_tokens == len(events)
    assert (events[-1].details.seed, events[-1].details.finish_reason) == (7, "length")
    assert all(event.token.logprob <= 0 for event in events)


@pytest.mark.asyncio(loop_scope="module")
async def test_tools_hold_the_real_engine_to_a_call_that_ends_and_can_be_read(url: str):
    parameters = {"type": "object", "properties": {"n": {"type": "integer"}, "up": {"type": "boolean"}}}
    function = {"name": "count", "parameters": parameters | {"required": ["n", "up"]}}
    options = {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "required",
        "max_tokens": 100,
        "temperature": 0,
    }
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="unused") as client:
        whole = await client.chat.completions.create(model="tgi", messages=ASK, **options)
        stream = await client.chat.completions.create(model="tgi", messages=ASK, stream=True, **options)
        choices = [chunk.choices[0] async for chunk in stream]
    pieces = [piece for choice in choices for piece in choice.delta.tool_calls or []]
    (call,) = whole.choices[0].message.tool_calls
    assert whole.choices[0].finish_reason == choices[-1].finish_reason == "tool_calls"
    assert call.function.name == pieces[0].function.name == "count"
    assert "".join(piece.function.arguments for piece in pieces) == call.function.arguments
    said = json.loads(call.function.arguments)
    assert (type(said["n"]), type(said["up"])) == (int, bool)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_response_format_ends_in_json_that_fits(url: str):
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}, "of": {"enum": ["a", "b"]}}}
    form = {"name": "judgement", "schema": schema | {"required": ["sure", "of"]}}
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="unused") as client:
        answer = await client.chat.completions.create(
            model="tgi",
            messages=ASK,
            response_format={"type": "json_schema", "json_schema": form},
            max_tokens=60,
        )
    assert answer.choices[0].finish_reason == "stop"
    said = json.loads(answer.choices[0].message.content)
    assert (type(said["sure"]), said["of"] in {"a", "b"}) == (bool, True)


@pytest.mark.asyncio(loop_scope="module")
async def test_sequences_of_one_call_differ_and_the_best_is_the_answer(url: str):
    client: Any = AsyncInferenceClient(base_url=url)
    answer = await client.text_generation("Once", best_of=2, do_sample=True, details=True, max_new_tokens=20)
    (other,) = answer.details.best_of_sequences
    assert answer.generated_text != other.generated_text
    means = [sum(t.logprob for t in d.tokens) / len(d.tokens) for d in (answer.details, other)]
    assert means[0] >= means[1]


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_the_models_own_tokenizer_streams_any_text(text: str):
    ids = TOKENIZER.encode(text)
    stream = TOKENIZER.detokenizer()
    said = [stream.push(i) for i in ids if TOKENIZER.special_text(i) is None]
    assert "".join([*said, stream.flush()]) == TOKENIZER.decode(ids)


def test_the_model_directory_has_what_a_server_needs():
    assert TOKENIZER.special.eos_ids
    assert TOKENIZER.special_text(min(TOKENIZER.special.eos_ids)) == TOKENIZER.special.eos
    assert (Path(builtin_path()) / "tokenizer_config.json").is_file()
