"""The LMI server over HTTP: which model a call is for, how the server is, how it says no."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from tests.contract.lmi.shop import Shop, open_shop, start
from tests.support.waiting import until

from nearstream.core.errors import Unusable
from nearstream.replica.lmi.served import Source

ASK = {"inputs": "hi", "parameters": {"max_new_tokens": 64}}
NO_CACHE = "no-cache; no-store, must-revalidate, private"


def text_of(lines: bytes) -> str:
    return "".join(json.loads(line)["outputs"][0] for line in lines.splitlines())


async def test_the_one_model_of_the_start_answers_a_call_that_names_none(tmp_path: Path):
    async with (
        open_shop(Shop(tmp_path), *start("m")) as session,
        session.post("/invocations", json=ASK) as response,
    ):
        assert response.status == 200
        assert response.content_type == "application/jsonlines"
        assert text_of(await response.read()) == "m speaks"
        assert response.headers["Pragma"] == "no-cache"
        assert response.headers["Cache-Control"] == NO_CACHE
        assert response.headers["x-request-id"]
        assert "x-compute-type" not in response.headers


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/invocations?model_name=b", {}, {}),
        ("/invocations", {"model_name": "b"}, {}),
        ("/invocations", {"X-Amzn-SageMaker-Custom-Attributes": "x=1;model_name=b"}, {}),
        ("/invocations", {}, {"model_name": "b"}),
        ("/predictions/b", {}, {}),
        ("/models/b/invoke", {}, {}),
    ],
)
async def test_a_call_names_its_model(
    tmp_path: Path, path: str, headers: dict[str, str], body: dict[str, str]
):
    async with (
        open_shop(Shop(tmp_path), *start("a", "b")) as session,
        session.post(path, json=ASK | body, headers=headers) as response,
    ):
        assert text_of(await response.read()) == "b speaks"


async def test_versions_take_turns_unless_one_is_named(tmp_path: Path):
    sources = [Source("m", "", version, at_startup=True) for version in ("v1", "v2")]
    shop = Shop(tmp_path)
    async with open_shop(shop, *sources) as session:
        for _ in range(4):
            async with session.post("/predictions/m", json=ASK) as response:
                assert response.status == 200
        async with session.post("/predictions/m/v2", json=ASK) as response:
            assert response.status == 200
        async with session.post("/predictions/m/v3", json=ASK) as response:
            assert response.status == 404


async def test_a_call_for_nobody_is_answered_in_djls_words(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("a", "b")) as session:
        async with session.post("/invocations", json=ASK) as response:
            told = {
                "code": 400,
                "type": "BadRequestException",
                "message": "Parameter model_name is required.",
            }
            assert (response.status, await response.json()) == (400, told)
        async with session.post("/predictions/c", json=ASK) as response:
            told = {
                "code": 404,
                "type": "ModelNotFoundException",
                "message": "Model or workflow not found: c",
            }
            assert (response.status, await response.json()) == (404, told)
        async with session.get("/predictions/a") as response:
            assert (response.status, (await response.json())["type"]) == (405, "MethodNotAllowedException")
        async with session.get("/nowhere") as response:
            assert (response.status, (await response.json())["type"]) == (404, "ResourceNotFoundException")
        async with session.post("/predictions/a", data=b" " * 200_000) as response:
            assert response.status == 413
            assert (await response.json())["type"] == "RequestEntityTooLargeException"


async def test_ping_tells_of_each_model(tmp_path: Path):
    shop = Shop(tmp_path)
    async with open_shop(shop, *start("fast"), *start("late", url="slow"), wait=False) as session:

        async def pinged() -> tuple[int, dict[str, dict[str, str]]]:
            async with session.get("/ping") as response:
                return response.status, await response.json()

        async def loaded() -> bool:
            return (await pinged())[1]["fast"]["status"] == "Healthy"

        await until(loaded)
        assert await pinged() == (207, {"fast": {"status": "Healthy"}, "late": {"status": "Pending"}})
        async with session.post("/predictions/late", json=ASK) as response:
            told = {"code": 503, "type": "WlmException", "message": "Model is not ready: late"}
            assert (response.status, await response.json()) == (503, told)
        shop.gate.set()

        async def well() -> bool:
            return (await pinged())[0] == 200

        await until(well)
        shop.engines["fast"].die()
        assert (await pinged())[0] == 500
        assert (await pinged())[1]["fast"] == {"status": "Unhealthy"}


async def test_a_model_of_the_start_that_does_not_load_ends_the_server(tmp_path: Path):
    with pytest.raises(ExceptionGroup) as raised:
        async with open_shop(Shop(tmp_path), *start("m", url="broken"), wait=False):
            await asyncio.Event().wait()
    assert [str(error) for error in raised.value.exceptions] == ["broken holds no model"]
    assert isinstance(raised.value.exceptions[0], Unusable)


async def test_a_full_queue_refuses_at_once(tmp_path: Path):
    shop = Shop(tmp_path, queue=3)
    async with open_shop(shop, *start("m")) as session, asyncio.TaskGroup() as tasks:
        engine = shop.engines["m"]
        engine.pause()
        calls = [tasks.create_task(session.post("/invocations", json=ASK)) for _ in range(3)]
        await until(lambda: engine.live == 3)
        async with session.post("/invocations", json=ASK) as response:
            assert response.status == 503
            assert await response.json() == {
                "code": 503,
                "type": "WlmCapacityException",
                "message": "Worker queue capacity exceeded for model: m",
            }
        engine.resume()
        for call in calls:
            response = await call
            assert text_of(await response.read()) == "m speaks"


async def test_a_client_that_leaves_ends_its_generation(tmp_path: Path):
    shop = Shop(tmp_path)
    async with open_shop(shop, *start("m")) as session:
        engine = shop.engines["m"]
        engine.pause()
        with pytest.raises(asyncio.TimeoutError):
            await session.post("/invocations", json=ASK, timeout=aiohttp.ClientTimeout(total=0.1))
        await until(lambda: engine.live == 0)


async def test_an_answer_that_ignores_its_end_is_as_long_as_was_asked(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("m")) as session:
        for ignore in (False, True):
            parameters = {"max_new_tokens": 40, "ignore_eos_token": ignore}
            async with session.post(
                "/invocations", json={"inputs": "hi", "parameters": parameters}
            ) as answer:
                assert (len((await answer.read()).splitlines()) == 40) == ignore


async def test_a_stop_string_is_a_stop_in_openais_words(tmp_path: Path):
    body = {"messages": [{"role": "user", "content": "hi"}], "stop": ["p"], "max_tokens": 40}
    async with open_shop(Shop(tmp_path, "0.36.0"), *start("m")) as session:
        for path in ("/invocations", "/v1/chat/completions"):
            async with session.post(path, json=body) as response:
                assert (await response.json())["choices"][0]["finish_reason"] == "stop"


async def test_metrics_have_djls_names(tmp_path: Path):
    async with open_shop(Shop(tmp_path), *start("m")) as session:
        await (await session.post("/invocations", json=ASK)).read()
        await (await session.post("/predictions/x", json=ASK)).read()
        text = await (await session.get("/metrics")).text()
    for line in (
        "RequestLatency_count 1",
        "QueueTime_count 1",
        "Prediction_count 1",
        "OutputTokens_count 1",
        "TokenThroughput_count 1",
        "Response_2XX 1",
        "Response_4XX 1",
        "Response_5XX 0",
    ):
        assert line in text.splitlines()
    assert "TokenLatency_count" in text


async def test_the_key_guards_what_works_and_what_manages(tmp_path: Path):
    key = {"Authorization": "Bearer secret"}
    async with open_shop(Shop(tmp_path), *start("m"), api_key="secret") as session:
        del session.headers["Authorization"]
        for method, path in (
            ("POST", "/invocations"),
            ("POST", "/models?url=x"),
            ("DELETE", "/models/m"),
            ("PUT", "/models/m"),
        ):
            async with session.request(method, path, json=ASK) as response:
                assert response.status == 401
        async with session.post("/invocations", json=ASK, headers=key) as response:
            assert response.status == 200


async def test_a_body_nested_without_end_is_refused_as_any_other_that_cannot_be_read(tmp_path: Path):
    deep = b'{"model_name": ' + b"[" * 40_000 + b"]" * 40_000 + b"}"
    async with (
        open_shop(Shop(tmp_path), *start("m")) as session,
        session.post("/invocations", data=deep, headers={"Content-Type": "application/json"}) as response,
    ):
        assert response.status == 424
