"""What is told of a prompt's own tokens, and prompts that are tokens, on the real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from tests.contract.replica.builtin import serving_builtin

TEXT = "The capital of France is"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    async with serving_builtin() as url:
        yield url


async def generate(url: str, **parameters: Any) -> dict[str, Any]:
    body = {"inputs": TEXT, "parameters": {"max_new_tokens": 3, "do_sample": False} | parameters}
    async with aiohttp.ClientSession(url) as session, session.post("/generate", json=body) as response:
        assert response.status == 200, await response.text()
        return dict(await response.json())


async def test_decoder_input_details_list_the_prompts_tokens(url: str):
    plain = await generate(url, details=True)
    for _ in range(2):  # the second time the prompt is in the cache
        answer = await generate(url, decoder_input_details=True)
        first, *others = answer["details"]["prefill"]
        assert first["logprob"] is None
        assert others and all(token["logprob"] < 0 for token in others)
        assert "".join(token["text"] for token in (first, *others)).endswith(TEXT)
        assert answer["generated_text"] == plain["generated_text"]
    assert plain["details"]["prefill"] == []


@pytest.mark.parametrize("stream", [False, True])
async def test_echo_with_log_probabilities_covers_prompt_and_answer(url: str, stream: bool):
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="unused", max_retries=0) as asked:
        answer = await asked.completions.create(
            model="m", prompt=TEXT, echo=True, logprobs=1, max_tokens=3, temperature=0, stream=stream
        )
        choices = [chunk.choices[0] async for chunk in answer] if stream else answer.choices
    text = "".join([choice.text for choice in choices])
    lists = [choice.logprobs for choice in choices]
    values = [value for listed in lists for value in listed.token_logprobs]
    tokens = [token for listed in lists for token in listed.tokens]
    offsets = [offset for listed in lists for offset in listed.text_offset]
    assert text.startswith(TEXT) and len(text) > len(TEXT)
    assert values[0] is None and all(value < 0 for value in values[1:-3])
    assert len(values) == len(tokens) == len(offsets)
    assert offsets == sorted(offsets) and offsets[0] == 0


async def test_a_prompt_of_token_ids_is_continued_as_its_text_is(url: str):
    async with (
        aiohttp.ClientSession(url) as session,
        session.post("/tokenize", json={"inputs": TEXT}) as told,
    ):
        ids = [token["id"] for token in await told.json()]
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="unused", max_retries=0) as asked:
        text = await asked.completions.create(model="m", prompt=TEXT, max_tokens=5, temperature=0)
        one = await asked.completions.create(model="m", prompt=ids, max_tokens=5, temperature=0)
        two = await asked.completions.create(
            model="m", prompt=[ids, ids], max_tokens=5, temperature=0, echo=True
        )
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            await asked.completions.create(model="m", prompt=[99999], max_tokens=5)
    assert "the prompt has token id 99999" in str(refused.value.body)
    assert one.choices[0].text == text.choices[0].text
    assert [choice.text for choice in two.choices] == [TEXT + text.choices[0].text] * 2
    assert one.usage.prompt_tokens == len(ids)


async def test_ignore_eos_makes_an_answer_as_long_as_benchmarks_ask(url: str):
    chat: Any = [{"role": "user", "content": "Say hi."}]
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="unused", max_retries=0) as asked:
        answer = await asked.chat.completions.create(
            model="m", messages=chat, max_tokens=200, temperature=0, extra_body={"ignore_eos": True}
        )
    assert answer.usage.completion_tokens == 200
    for name in ("ignore_eos", "ignore_eos_token"):
        found = await generate(url, details=True, max_new_tokens=150, **{name: True})
        assert found["details"]["generated_tokens"] == 150


@pytest.mark.parametrize("choice", ["auto", "required"])
async def test_the_real_engine_answers_an_offer_of_tools_to_an_end(url: str, choice: Any):
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": {
        "type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"],
    }}}]  # fmt: skip
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="unused", max_retries=0) as asked:
        answer = await asked.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Call f."}], tools=tools, tool_choice=choice,
            max_tokens=200, temperature=0,
        )  # fmt: skip
    (choice_,) = answer.choices
    assert choice_.message.content or choice_.message.tool_calls
    assert choice != "required" or choice_.finish_reason == "tool_calls"
