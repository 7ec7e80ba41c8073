"""Several answers to one call: best_of, n and several prompts, streamed and whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from tests.contract.replica.scripted import AS_MANAGER, Server, Witness, ids_of, serving, settings
from tests.support.waiting import until

from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

ANSWER = "hello 😀 world"
ASK = [{"role": "user", "content": "Say hello"}]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(settings(tmp_path), Witness(ids_of(ANSWER, tmp_path))) as running:
        yield running


def client(server: Server) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0)


async def test_best_of_runs_its_sequences_with_seeds_of_their_own_and_tells_of_all(server: Server):
    async with aiohttp.ClientSession(server.url) as session:
        parameters = {"best_of": 2, "do_sample": True, "details": True}
        response = await session.post("/generate", json={"inputs": "hi", "parameters": parameters})
        answer = await response.json()
    (other,) = answer["details"]["best_of_sequences"]
    assert answer["generated_text"] == other["generated_text"] == ANSWER
    assert answer["details"]["seed"] != other["seed"]
    assert [token["id"] for token in other["tokens"]] == server.engine.ids
    assert len(server.engine.asked) == 2
    assert response.headers["x-generated-tokens"] == str(2 * len(server.engine.ids))


async def test_n_choices_come_whole(server: Server):
    async with client(server) as asked:
        answer = await asked.chat.completions.create(model="tgi", messages=ASK, n=3, seed=7)
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [
        (index, ANSWER) for index in range(3)
    ]
    assert answer.usage.completion_tokens == 3 * len(server.engine.ids)
    assert answer.usage.prompt_tokens == len(server.engine.asked[0][0])
    assert [sampling.seed for _, sampling, _ in server.engine.asked] == [7, 8, 9]


async def test_n_choices_come_as_they_are_made(server: Server):
    async with client(server) as asked:
        stream = await asked.chat.completions.create(
            model="tgi", messages=ASK, n=2, stream=True, stream_options={"include_usage": True}
        )
        *said, usage = [chunk async for chunk in stream]
    for index in range(2):
        own = [chunk.choices[0] for chunk in said if chunk.choices[0].index == index]
        assert "".join(choice.delta.content for choice in own) == ANSWER
        assert [choice.finish_reason for choice in own][-2:] == [None, "stop"]
    assert usage.usage.completion_tokens == len(said)


async def test_prompts_are_answered_side_by_side(server: Server):
    async with client(server) as asked:
        whole = await asked.completions.create(model="tgi", prompt=["One", "Two"], echo=True)
        stream = await asked.completions.create(model="tgi", prompt=["One", "Two"], echo=True, stream=True)
        texts = ["", ""]
        async for chunk in stream:
            texts[chunk.choices[0].index] += chunk.choices[0].text
    assert [choice.text for choice in whole.choices] == texts == ["One" + ANSWER, "Two" + ANSWER]
    assert whole.usage.prompt_tokens == sum(len(prompt) for prompt, _, _ in server.engine.asked[:2])


async def test_a_completion_has_the_older_form_of_log_probabilities(server: Server):
    async with client(server) as asked:
        whole = await asked.completions.create(model="tgi", prompt="Once", logprobs=1, temperature=0)
        stream = await asked.completions.create(
            model="tgi", prompt="Once", logprobs=1, temperature=0, stream=True
        )
        pieces = [chunk.choices[0].logprobs async for chunk in stream]
    found = whole.choices[0].logprobs
    assert "".join(found.tokens) == ANSWER + "</s>"
    assert set(found.token_logprobs) == {-0.5}
    assert found.top_logprobs[0] == {found.tokens[0]: -0.5}
    assert found.text_offset == [offset for piece in pieces for offset in piece.text_offset]
    assert found.text_offset[1] == len(found.tokens[0])


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_aborts_every_one_of_its_answers(tmp_path: Path, stream: bool):
    engine = Witness(ids_of("hello", tmp_path, eos=False), delay_s=0.01)
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession(server.url) as session:
        async with asyncio.TaskGroup() as tasks:
            body = {"messages": ASK, "n": 3, "stream": stream}
            call = tasks.create_task(_read(session, body))
            await until(lambda: engine.live == 3 and engine.said > 3)
            call.cancel()
        await until(lambda: engine.live == 0)


async def test_an_engine_that_dies_ends_all_answers_with_one_failure(tmp_path: Path):
    engine = Witness(ids_of("hello", tmp_path, eos=False), delay_s=0.01)
    async with serving(settings(tmp_path), engine) as server, client(server) as asked:
        stream = await asked.chat.completions.create(model="tgi", messages=ASK, n=2, stream=True)
        await anext(aiter(stream))
        engine.die("it ended with signal 9")
        with pytest.raises(openai.APIError, match="it ended with signal 9"):
            _ = [chunk async for chunk in stream]
        await until(lambda: engine.live == 0)


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/generate", {"inputs": "hi", "parameters": {"best_of": 2, "do_sample": True}}),
        ("/v1/chat/completions", {"messages": ASK, "n": 2}),
        ("/v1/completions", {"prompt": ["One", "Two"]}),
    ],
)
async def test_each_answer_takes_a_permit_of_its_own(tmp_path: Path, route: str, body: dict[str, Any]):
    terms = Terms(limits=Limits(max_input_tokens=64, max_total_tokens=128, max_concurrent_requests=3))
    engine = Witness(ids_of(ANSWER, tmp_path))
    engine.pause()
    async with (
        serving(settings(tmp_path, terms=terms), engine) as server,
        aiohttp.ClientSession(server.url) as session,
        asyncio.TaskGroup() as tasks,
    ):
        first = tasks.create_task(session.post(route, json=body))
        await until(lambda: engine.live == 2)
        refused = await session.post(route, json=body)
        assert (refused.status, (await refused.json())["error_type"]) == (429, "overloaded")
        single = tasks.create_task(session.post("/generate", json={"inputs": "hi"}))
        await until(lambda: engine.live == 3)
        engine.resume()
        assert ((await first).status, (await single).status) == (200, 200)
        assert (await session.post(route, json=body)).status == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_aborting_a_call_ends_every_one_of_its_answers(tmp_path: Path, stream: bool):
    engine = Witness(ids_of("hello", tmp_path, eos=False), delay_s=0.01)
    async with (
        serving(settings(tmp_path), engine) as server,
        aiohttp.ClientSession(server.url) as session,
        asyncio.TaskGroup() as tasks,
    ):
        body = {"messages": ASK, "n": 3, "stream": stream}
        call = tasks.create_task(_read(session, body, call_id="mine"))
        await until(lambda: engine.live == 3 and engine.said > 3)
        assert (await session.post("/abort/mine", headers=AS_MANAGER)).status == 200
        said = b"".join(await call)
        assert engine.live == 0
        assert said.count(b"the request was aborted") == 1
        assert (await session.post("/abort/mine", headers=AS_MANAGER)).status == 404


async def _read(
    session: aiohttp.ClientSession, body: dict[str, Any], *, call_id: str = ""
) -> Sequence[bytes]:
    headers = {"x-request-id": call_id}
    async with session.post("/v1/chat/completions", json=body, headers=headers) as response:
        return [line async for line in response.content]
