"""A server of which too many calls fail says so to whoever pings it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from tests.contract.lmi.shop import Shop, open_shop, start
from tests.contract.lmi.test_server import ASK
from tests.support.waiting import until

from nearstream.core.rates import Rate

HOUR_S = 3600.0
WRONG = {"inputs": "hi", "parameters": {"temperature": -1}}


async def pinged(session: aiohttp.ClientSession) -> int:
    async with session.get("/ping") as response:
        assert (await response.json())["m"] == {"status": "Healthy"}
        return response.status


@pytest.mark.parametrize("name", ["any", "wlm"])
async def test_ping_says_that_too_many_calls_fail(tmp_path: Path, name: str):
    shop = Shop(tmp_path, queue=1)
    rates = {name: Rate(2, HOUR_S)}
    async with open_shop(shop, *start("m"), error_rates=rates) as session, asyncio.TaskGroup() as tasks:
        engine = shop.engines["m"]
        engine.pause()
        first = tasks.create_task(session.post("/invocations", json=ASK))
        await until(lambda: engine.live == 1)
        found = []
        for _ in range(3):
            async with session.post("/invocations", json=ASK) as response:
                assert response.status == 503
            found.append(await pinged(session))
        engine.resume()
        assert (await first).status == 200
        assert found == [200, 200, 503]
        assert await pinged(session) == 503


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_breaks_is_the_models_failure(tmp_path: Path, *, stream: bool):
    shop = Shop(tmp_path, "0.36.0")
    async with open_shop(shop, *start("m"), error_rates={"model": Rate(0, HOUR_S)}) as session:
        engine = shop.engines["m"]
        engine.pause()
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(session.post("/invocations", json=ASK | {"stream": stream}))
            await until(lambda: engine.live == 1)
            engine.die("it ended with signal 9")
            await (await call).read()
        engine.resume()
        engine.revive()
        assert await pinged(session) == 503


async def test_what_a_client_does_wrong_says_nothing_of_the_server(tmp_path: Path):
    rates = dict.fromkeys(("any", "server", "model", "wlm"), Rate(0, HOUR_S))
    async with open_shop(Shop(tmp_path), *start("m"), error_rates=rates) as session:
        for path, body, status in (
            ("/invocations", WRONG, 424),
            ("/predictions/none", ASK, 404),
            ("/predictions/m/v9", ASK, 404),
        ):
            async with session.post(path, json=body) as response:
                assert response.status == status
        form = {"Content-Type": "multipart/form-data"}
        async with session.post("/invocations", data=b"x", headers=form) as response:
            assert response.status == 424
        assert await pinged(session) == 200


async def test_without_a_rate_any_number_of_calls_may_fail(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("m")) as session:
        for _ in range(20):
            async with session.post("/predictions/none", json=ASK) as response:
                assert response.status == 404
        assert await pinged(session) == 200
