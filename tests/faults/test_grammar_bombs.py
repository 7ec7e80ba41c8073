"""Grammars that would take for ever, sent to `nearstream serve`: refused at once, and nobody waits."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from tests.support.server import served

REGEXES = ("((a{1,1000}){1,1000}){1,1000}", "(x{1000}){1000}", "(a|b)*a(a|b){20}", "x{60000}" * 50)
DOUBLING = {
    f"d{n}": {
        "anyOf": [{"type": "array", "prefixItems": [{"$ref": f"#/$defs/d{n - 1}"}] * each} for each in (1, 2)]
    }
    for n in range(1, 300)
}
SCHEMAS: tuple[dict[str, Any], ...] = (
    {"enum": [f"value number {n}" for n in range(10_000)]},
    {"oneOf": [{"properties": {f"p{n}": {"type": "integer"}}} for n in range(400)]},
    {"allOf": [{"anyOf": [{"minLength": n}, {"maxLength": 2 * n}]} for n in range(1, 30)]},
    {"$ref": "#/$defs/d299", "$defs": {"d0": {"type": "string", "maxLength": 500}} | DOUBLING},
)
PROMPT = [{"role": "user", "content": "Tell me of the sea."}]
ANSWERED_WITHIN_S = 4.0
"""0.9 s on a machine that does nothing else: 0.8 s of a processor, and another process."""
MOST_GAP_S = 1.0
"""15 ms on such a machine."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("bombs")) as url:
        yield url


def regex(pattern: str) -> dict[str, Any]:
    grammar = {"type": "regex", "value": pattern}
    return {"inputs": "Hello", "parameters": {"grammar": grammar, "max_new_tokens": 8}}


def schema(wanted: dict[str, Any]) -> dict[str, Any]:
    grammar = {"type": "json", "value": wanted}
    return {"inputs": "Hello", "parameters": {"grammar": grammar, "max_new_tokens": 8}}


BOMBS = [*map(regex, REGEXES), *map(schema, SCHEMAS)]


async def gaps(session: aiohttp.ClientSession, begun: asyncio.Event, ended: asyncio.Event) -> list[float]:
    """The seconds between the chunks of plain answers, one after another until `ended`."""
    body = {"model": "tgi", "messages": PROMPT, "stream": True, "max_tokens": 400, "temperature": 0}
    found: list[float] = []
    while not ended.is_set():
        async with session.post("/v1/chat/completions", json=body) as answer:
            assert answer.status == 200
            times = [time.perf_counter() async for line in answer.content if line.startswith(b"data:")]
            begun.set()
        found += [after - before for before, after in itertools.pairwise(times)]
    return found


async def test_a_bomb_is_a_422_at_once_and_the_tokens_of_others_go_on(url: str) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()
    async with aiohttp.ClientSession(url) as session:
        neighbour = asyncio.ensure_future(gaps(session, begun, ended))
        await begun.wait()
        for bomb in BOMBS:
            before = time.perf_counter()
            async with session.post("/generate", json=bomb) as answer:
                told = await answer.json()
            assert answer.status == 422, told
            assert "grammar is not valid" in told["error"]
            assert time.perf_counter() - before < ANSWERED_WITHIN_S
        ended.set()
        assert max(await neighbour) < MOST_GAP_S


async def test_bombs_at_once_do_not_keep_a_grammar_that_is_small(url: str) -> None:
    small = schema({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]})
    small["parameters"]["max_new_tokens"] = 40
    async with aiohttp.ClientSession(url) as session:

        async def asked(body: dict[str, Any]) -> tuple[int, Any]:
            async with session.post("/generate", json=body) as answer:
                return answer.status, await answer.json()

        bombs = [asyncio.ensure_future(asked(bomb)) for bomb in BOMBS]
        status, told = await asked(small)
        assert status == 200, told
        assert set(json.loads(told["generated_text"])) == {"a"}
        assert {status for status, _ in await asyncio.gather(*bombs)} == {422}


async def test_a_text_beyond_the_limit_is_refused_before_any_work(url: str) -> None:
    body = regex("a" * (1 << 19))
    async with aiohttp.ClientSession(url) as session, session.post("/generate", json=body) as answer:
        assert answer.status == 422
        assert "its text has more than 262144 bytes" in (await answer.json())["error"]
