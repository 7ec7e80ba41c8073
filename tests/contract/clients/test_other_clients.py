"""Clients that people have, in the versions they have, run unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from tests.contract.clients.environment import Conversation
from tests.contract.replica.builtin import serving_builtin
from tests.contract.replica.scripted import Server, Witness, ids_of, serving, settings
from tests.support.waiting import until

from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

ANSWER = "hello 😀 world"
CLIENTS = {
    "text_generation": ("try_text_generation", ("sync", "async")),
    "huggingface_hub_0": ("try_huggingface_hub", ("sync", "async")),
    "langchain": ("try_langchain", ("endpoint", "chat")),
}
WITH_DETAILS = [
    (name, kind) for name in ("text_generation", "huggingface_hub_0") for kind in CLIENTS[name][1]
]
EVERY = [(name, kind) for name, (_, kinds) in CLIENTS.items() for kind in kinds]
GENERATING = [pair for pair in EVERY if pair[1] != "chat"]
TOO_MANY = "`inputs` tokens + `max_new_tokens` must be <= 128. Given: 3 `inputs` tokens and 1000"


@pytest.fixture(scope="session")
def conversations() -> Iterator[dict[str, Conversation]]:
    opened: dict[str, Conversation] = {}
    yield opened
    for conversation in opened.values():
        conversation.close()


@pytest.fixture
def talk(conversations: dict[str, Conversation], server: Server):
    async def ask(client: tuple[str, str], do: str, *, url: str | None = None) -> dict[str, object]:
        name, kind = client
        if name not in conversations:
            conversations[name] = Conversation(CLIENTS[name][0], name)
        return await conversations[name].ask(kind, do, url or server.url)

    return ask


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    limits = Limits(max_input_tokens=64, max_total_tokens=128, max_concurrent_requests=1)
    engine = Witness(ids_of(ANSWER, tmp_path), delay_s=0.005, lacks=frozenset())
    async with serving(settings(tmp_path, terms=Terms(limits=limits)), engine) as running:
        yield running


@pytest.mark.parametrize("client", WITH_DETAILS, ids=" ".join)
@pytest.mark.parametrize("do", ["whole", "stream"])
async def test_tgis_clients_read_answers_with_details(talk, client: tuple[str, str], do: str):
    assert await talk(client, do) == {"came": {"text": ANSWER, "tokens": ANSWER, "finish": "eos_token"}}


@pytest.mark.parametrize("client", WITH_DETAILS, ids=" ".join)
async def test_tgis_clients_chat(talk, client: tuple[str, str]):
    assert await talk(client, "chat") == {"came": ANSWER}


@pytest.mark.parametrize("kind", CLIENTS["langchain"][1])
@pytest.mark.parametrize("do", ["whole", "stream", "async_stream"])
async def test_langchain_reads_answers(talk, kind: str, do: str):
    said = await talk(("langchain", kind), do)
    assert said["came"].removesuffix("</s>") == ANSWER


async def test_langchain_takes_stop_strings_off_by_itself(talk):
    assert await talk(("langchain", "endpoint"), "stops") == {"came": "hello 😀 "}


@pytest.mark.parametrize("do", ["whole", "stream", "documented"])
async def test_langchains_own_options_are_honoured_by_the_built_in_engine(talk, do: str):
    """typical_p of 0.95 among them, which langchain sends unasked."""
    async with serving_builtin() as url:
        said = await talk(("langchain", "endpoint"), do, url=url)
    assert "raised" not in said, said
    assert said["came"].strip()


async def test_langchains_own_typical_p_is_refused_by_its_name_where_an_engine_lacks_it(talk, tmp_path: Path):
    async with serving(settings(tmp_path), Witness([7])) as running:
        said = await talk(("langchain", "endpoint"), "whole", url=running.url)
    assert (said["raised"], "`typical_p` is not supported" in said["words"]) == ("ValidationError", True)


@pytest.mark.parametrize("client", GENERATING, ids=" ".join)
@pytest.mark.parametrize("do", ["wrong", "wrong_stream"])
async def test_a_broken_rule_becomes_the_clients_validation_error(talk, client: tuple[str, str], do: str):
    said = await talk(client, do)
    assert (said["raised"], TOO_MANY in said["words"]) == ("ValidationError", True), said


@pytest.mark.parametrize("do", ["wrong", "wrong_stream"])
async def test_a_chat_in_langchain_is_told_of_a_broken_rule(talk, do: str):
    said = await talk(("langchain", "chat"), do)
    assert "`inputs` tokens + `max_new_tokens` must be <= 128" in said["words"], said


@pytest.mark.parametrize("client", GENERATING, ids=" ".join)
@pytest.mark.parametrize("do", ["whole", "stream"])
async def test_a_full_server_becomes_the_clients_overloaded_error(
    talk, server: Server, client: tuple[str, str], do: str
):
    server.engine.pause()
    async with aiohttp.ClientSession(server.url) as session, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(session.post("/generate", json={"inputs": "hi"}))
        await until(lambda: server.engine.live == 1)
        said = await talk(client, do)
        server.engine.resume()
        assert (await first).status == 200
    assert said == {"raised": "OverloadedError", "words": "Model is overloaded"}


@pytest.mark.parametrize("client", GENERATING, ids=" ".join)
async def test_an_engine_that_dies_becomes_the_clients_generation_error(
    talk, server: Server, client: tuple[str, str]
):
    server.engine.pause_at = 1  # a slow client would find the answer at its end
    assert "came" in await talk(client, "open")
    server.engine.die("it ended with signal 9")
    wanted = {
        "raised": "GenerationError",
        "words": "Request failed during generation: it ended with signal 9",
    }
    assert await talk(client, "rest") == wanted


@pytest.mark.parametrize("client", EVERY, ids=" ".join)
async def test_a_client_that_stops_reading_ends_its_answer(talk, server: Server, client: tuple[str, str]):
    server.engine.pause_at = 1
    assert "came" in await talk(client, "open")
    assert server.engine.live == 1
    assert await talk(client, "leave") == {"came": None}
    await until(lambda: server.engine.live == 0)
