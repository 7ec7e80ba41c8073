"""Clients of a server that stands in for LMI's container: curl, and openai in the releases that know it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.contract.lmi.shop import Shop, open_shop, start

from nearstream.wire.dialects.lmi.terms import Format

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Say hello"}], "max_tokens": 40}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
ANSWER = "m speaks"
PATHS = ("/v1/chat/completions", "/invocations")


async def address(session: aiohttp.ClientSession) -> str:
    async with session.get("/ping") as response:
        return str(response.url.origin())


@pytest.fixture
async def latest(tmp_path: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    """openai, of a server of the release that answers by the keys of a body."""
    async with (
        open_shop(Shop(tmp_path, "0.36.0", Format()), *start("m")) as session,
        openai.AsyncOpenAI(base_url=await address(session), api_key="unused", max_retries=0) as client,
    ):
        yield client


@pytest.mark.parametrize("path", PATHS)
async def test_openai_gets_a_whole_chat(latest: openai.AsyncOpenAI, path: str):
    answer = await latest.post(path, body=CHAT, cast_to=ChatCompletion)
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == (
        "assistant",
        ANSWER,
        "stop",
    )
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize("path", PATHS)
async def test_openai_streams_a_chat(latest: openai.AsyncOpenAI, path: str):
    stream = await latest.post(
        path,
        body=CHAT | USAGE,
        cast_to=ChatCompletionChunk,
        stream=True,
        stream_cls=openai.AsyncStream[ChatCompletionChunk],
    )
    *said, usage = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in said) == ANSWER
    assert [chunk.choices[0].finish_reason for chunk in said][-2:] == [None, "stop"]
    assert (usage.choices, usage.usage.total_tokens > 0) == ([], True)


async def test_openais_own_methods_need_its_base_url_alone(latest: openai.AsyncOpenAI):
    client = latest.with_options(base_url=str(latest.base_url).rstrip("/") + "/v1")
    chat = await client.chat.completions.create(**CHAT)
    pieces = await client.chat.completions.create(**CHAT, stream=True)
    assert chat.choices[0].message.content == ANSWER
    assert "".join([piece.choices[0].delta.content or "" async for piece in pieces]) == ANSWER
    text = await client.completions.create(model="m", prompt="hi", max_tokens=40)
    assert text.choices[0].text == ANSWER


async def test_openai_is_told_of_a_broken_rule_and_of_a_model_that_is_not_there(latest: openai.AsyncOpenAI):
    with pytest.raises(openai.APIStatusError) as caught:
        await latest.post(PATHS[0], body=CHAT | {"temperature": -1}, cast_to=ChatCompletion)
    assert (caught.value.status_code, "temperature" in str(caught.value.body)) == (424, True)
    with pytest.raises(openai.NotFoundError, match="Model or workflow not found: x"):
        await latest.post("/predictions/x", body=CHAT, cast_to=ChatCompletion)


async def test_curl_reads_a_line_a_token_and_need_not_say_that_it_sends_json(tmp_path: Path):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    async with open_shop(Shop(tmp_path), *start("m")) as session:
        process = await asyncio.create_subprocess_exec(
            *(curl, "-sN", f"{await address(session)}/invocations", "-d", json.dumps({"inputs": "hi"})),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
    lines = [json.loads(line)["outputs"] for line in said.splitlines()]
    assert len(lines) > 1
    assert "".join(text for (text,) in lines) == ANSWER
