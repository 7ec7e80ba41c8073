"""The clients people have run unchanged: openai and huggingface_hub against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import ValidationError
from tests.contract.replica.scripted import Server, Witness, ids_of, serving, settings

from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

ANSWER = "hello 😀 world"
ASK = [{"role": "user", "content": "Say hello"}]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    engine = Witness(ids_of(ANSWER, tmp_path))
    terms = Terms(limits=Limits(max_input_tokens=512, max_total_tokens=1024))  # tools take many tokens
    async with serving(settings(tmp_path, terms=terms), engine) as running:
        yield running


def openai_client(server: Server) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0)


async def test_openai_streams_a_chat(server: Server):
    async with openai_client(server) as client:
        stream = await client.chat.completions.create(
            model="tgi", messages=ASK, stream=True, stream_options={"include_usage": True}, top_p=1
        )
        chunks = [chunk async for chunk in stream]
    *said, usage = chunks
    assert "".join(chunk.choices[0].delta.content for chunk in said) == ANSWER
    assert {chunk.choices[0].delta.role for chunk in said} == {"assistant"}
    assert [chunk.choices[0].finish_reason for chunk in said][-2:] == [None, "stop"]
    assert usage.choices == []
    assert usage.usage.completion_tokens == len(said)
    assert usage.usage.total_tokens == usage.usage.prompt_tokens + len(said)


async def test_openai_gets_a_whole_chat_with_log_probabilities(server: Server):
    async with openai_client(server) as client:
        answer = await client.chat.completions.create(
            model="tgi", messages=ASK, logprobs=True, top_logprobs=1, temperature=0, max_completion_tokens=50
        )
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == (
        "assistant",
        ANSWER,
        "stop",
    )
    assert all(piece.logprob == -0.5 for piece in choice.logprobs.content)
    assert choice.logprobs.content[0].top_logprobs[0].token == choice.logprobs.content[0].token
    assert answer.usage.completion_tokens == len(choice.logprobs.content)
    assert server.engine.asked[0][1].do_sample is False


def test_the_sync_openai_client_works_the_same(tmp_path: Path):
    async def run() -> None:
        engine = Witness(ids_of(ANSWER, tmp_path))
        async with serving(settings(tmp_path), engine) as server:
            await asyncio.to_thread(talk, server.url)

    def talk(url: str) -> None:
        with openai.OpenAI(base_url=url + "/v1", api_key="unused") as client:
            whole = client.chat.completions.create(model="tgi", messages=ASK)
            assert whole.choices[0].message.content == ANSWER
            stream = client.chat.completions.create(model="tgi", messages=ASK, stream=True)
            assert "".join(chunk.choices[0].delta.content for chunk in stream) == ANSWER
            assert [model.id for model in client.models.list()] == ["toy/model"]

    asyncio.run(run())


async def test_openai_completes_a_text(server: Server):
    async with openai_client(server) as client:
        whole = await client.completions.create(model="tgi", prompt="Once", echo=True)
        stream = await client.completions.create(model="tgi", prompt="Once", stream=True)
        texts = [chunk.choices[0].text async for chunk in stream]
    assert whole.choices[0].text == "Once" + ANSWER
    assert "".join(texts) == ANSWER


async def test_openai_is_told_what_is_wrong(server: Server):
    async with openai_client(server) as client:
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            await client.chat.completions.create(model="tgi", messages=ASK, temperature=-1)
        assert "`temperature` must be strictly positive" in refused.value.response.text
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            await client.chat.completions.create(
                model="tgi", messages=ASK, tools=[{"type": "function", "function": {"name": "f"}}]
            )
        assert "`tools` is not supported" in refused.value.response.text
        with pytest.raises(openai.APIError, match="top_p"):
            async for _ in await client.chat.completions.create(
                model="tgi", messages=ASK, stream=True, top_p=1.5
            ):
                pass


async def test_a_chat_is_put_into_the_models_template(server: Server, tmp_path: Path):
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},
        *ASK,
        {"role": "assistant", "content": "Well,"},
    ]
    async with openai_client(server) as client:
        await client.chat.completions.create(model="tgi", messages=messages)
    prompt = "<s><|system|>\nBe kind.<|end|>\n<|user|>\nSay hello<|end|>\n<|assistant|>\nWell,"
    assert server.engine.asked[0][0] == ids_of(prompt, tmp_path, eos=False)


async def test_huggingface_hub_streams_with_details(server: Server):
    client = AsyncInferenceClient(base_url=server.url)
    stream = await client.text_generation("hi", details=True, stream=True, return_full_text=False)
    said = [event async for event in stream]
    assert said[-1].generated_text == ANSWER
    assert said[-1].details.finish_reason == "eos_token"
    assert said[-1].token.special


async def test_huggingface_hub_gets_whole_answers_and_streams_without_blocking_itself(server: Server):
    def talk() -> None:
        client = InferenceClient(base_url=server.url)
        assert client.text_generation("hi", max_new_tokens=40, return_full_text=False) == ANSWER
        answer = client.text_generation("hi", details=True, max_new_tokens=40, return_full_text=False)
        assert answer.details.generated_tokens == len(answer.details.tokens)
        assert "".join(client.text_generation("hi", stream=True, max_new_tokens=40)) == ANSWER + "</s>"
        pieces = client.chat_completion(ASK, stream=True, max_tokens=40)
        assert "".join(piece.choices[0].delta.content for piece in pieces) == ANSWER

    await asyncio.to_thread(talk)


async def test_huggingface_hub_raises_its_own_errors(server: Server):
    client = AsyncInferenceClient(base_url=server.url)
    with pytest.raises(ValidationError, match="temperature"):
        async for _ in await client.text_generation("hi", stream=True, details=True, temperature=-1.0):
            pass
