"""Frameworks for agents, in the versions that people have, finish their loops against `serve --as openai`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.clients.environment import Conversation
from tests.contract.clients.scripted_openai import (
    ANSWER,
    COMPARISON,
    GREETING,
    REPORT,
    ScriptedServer,
    serving_script,
)
from tests.contract.clients.scripts.weather import DEGREES, KEY, PARALLEL, weather
from tests.support.server import served

Client = tuple[str, str]
Talk = Callable[[Client, str, str], Awaitable[dict[str, Any]]]
CLIENTS: list[Client] = [
    ("pydantic_ai", "chat"),
    ("instructor", "chat"),
    ("litellm", "chat"),
    ("langchain_openai", "chat"),
    ("openai_agents", "chat"),
    ("vercel_ai", "chat"),
    ("vercel_ai", "openai"),
]
INSTRUCTOR = CLIENTS[1]
# instructor has no loop that ends in words, and sends a history as openai's client does.
LOOPING = [client for client in CLIENTS if client != INSTRUCTOR]
BY_TOOL = [CLIENTS[0], INSTRUCTOR, CLIENTS[3]]
WRONG_KEY = "the API key is missing or wrong: send it as `Authorization: Bearer <key>`"
WRONG_MODEL = "the model `another` does not exist: this server has `builtin`"
TOO_LONG = "the prompt is too long: the model takes up to 4096 tokens of `messages`, and "
ERRORS = {
    "pydantic_ai": (
        "ModelAuthenticationError",
        "ModelNotFoundError",
        "ModelContextWindowExceededError",
    ),
    "instructor": ("InstructorRetryException",) * 3,
    "litellm": ("AuthenticationError", "NotFoundError", "ContextWindowExceededError"),
    "langchain_openai": (
        "OpenAIAuthenticationError",
        "OpenAIModelNotFoundError",
        "OpenAIContextOverflowError",
    ),
    "openai_agents": ("AuthenticationError", "NotFoundError", "BadRequestError"),
    "vercel_ai": ("AI_APICallError",) * 3,
}
"""What each client raises for a key, a model and a length that the server refuses."""


@pytest.fixture(scope="module")
def conversations() -> Iterator[dict[str, Conversation]]:
    opened: dict[str, Conversation] = {}
    yield opened
    for conversation in opened.values():
        conversation.close()


@pytest.fixture
def talk(conversations: dict[str, Conversation]) -> Talk:
    async def ask(client: Client, do: str, url: str) -> dict[str, Any]:
        name, kind = client
        if name not in conversations:
            conversations[name] = Conversation(f"try_{name}", name)
        return await conversations[name].ask(kind, do, url)

    return ask


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    async with serving_script(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def builtin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`nearstream serve --as openai` with the built-in model, as a user starts it."""
    with served(tmp_path_factory.mktemp("home"), "--as", "openai", API_KEY=KEY) as url:
        yield url


@pytest.mark.parametrize("client", LOOPING, ids=" ".join)
async def test_an_agent_calls_its_tool_and_answers_with_the_result(
    talk: Talk, server: ScriptedServer, client: Client
) -> None:
    said = await talk(client, "tools", server.url)
    assert "came" in said, said
    assert (said["came"]["calls"], said["came"]["answer"]) == (["Paris"], ANSWER)
    tokens_in, tokens_out = said["came"]["tokens"]
    assert tokens_in > tokens_out > len("Paris")
    assert weather("Paris") in server.script.prompts[-1]


async def test_instructor_sends_what_is_invalid_back_until_it_is_valid(
    talk: Talk, server: ScriptedServer
) -> None:
    said = await talk(INSTRUCTOR, "tools", server.url)
    assert (said["came"]["calls"], said["came"]["answer"]) == (["Oslo", "Paris"], "Paris")
    assert min(said["came"]["tokens"]) > 0
    assert "too cold" in server.script.prompts[-1]


@pytest.mark.parametrize("client", LOOPING, ids=" ".join)
async def test_results_of_parallel_calls_reach_the_model_with_their_ids(
    talk: Talk, server: ScriptedServer, client: Client
) -> None:
    assert await talk(client, "parallel", server.url) == {"came": COMPARISON}
    prompt = server.script.prompts[-1]
    for call_id, city in PARALLEL.items():
        assert f'{call_id}={{"name": "get_weather", "arguments": {{"city": "{city}"}}}}' in prompt
        assert f"{weather(city)} of {call_id}" in prompt


@pytest.mark.parametrize("client", CLIENTS, ids=" ".join)
async def test_an_answer_of_a_type_is_read_from_a_strict_schema(
    talk: Talk, server: ScriptedServer, client: Client
) -> None:
    assert await talk(client, "structured", server.url) == {"came": REPORT}


@pytest.mark.parametrize("client", BY_TOOL, ids=" ".join)
async def test_an_answer_of_a_type_is_read_from_a_call(
    talk: Talk, server: ScriptedServer, client: Client
) -> None:
    assert await talk(client, "structured_by_tool", server.url) == {"came": REPORT}


@pytest.mark.parametrize("client", CLIENTS, ids=" ".join)
async def test_text_streams_piece_by_piece(talk: Talk, server: ScriptedServer, client: Client) -> None:
    pieces = (await talk(client, "stream", server.url))["came"]
    assert "".join(pieces) == GREETING
    assert len(pieces) > len(GREETING) / 4


@pytest.mark.parametrize("client", CLIENTS, ids=" ".join)
@pytest.mark.parametrize(
    ("number", "do", "words"),
    [(0, "wrong_key", WRONG_KEY), (1, "wrong_model", WRONG_MODEL), (2, "too_long", TOO_LONG)],
    ids=["key", "model", "length"],
)
async def test_a_refusal_is_the_clients_own_error_with_the_servers_words(
    talk: Talk, server: ScriptedServer, client: Client, number: int, do: str, words: str
) -> None:
    said = await talk(client, do, server.url)
    assert said.get("raised") == ERRORS[client[0]][number], said
    assert words in said["words"]


@pytest.mark.parametrize("client", LOOPING, ids=" ".join)
async def test_a_loop_ends_in_words_on_the_built_in_model(talk: Talk, builtin: str, client: Client) -> None:
    said = await talk(client, "tools", builtin)
    assert "came" in said, said
    assert set(said["came"]["calls"]) <= set(DEGREES)
    assert said["came"]["answer"].strip()
    assert min(said["came"]["tokens"]) > 0


@pytest.mark.parametrize("client", CLIENTS, ids=" ".join)
async def test_an_answer_of_a_type_is_valid_on_the_built_in_model(
    talk: Talk, builtin: str, client: Client
) -> None:
    said = await talk(client, "structured", builtin)
    assert "came" in said, said
    assert said["came"]["city"] in DEGREES
    assert said["came"]["sky"] in {"clear", "cloudy"}
