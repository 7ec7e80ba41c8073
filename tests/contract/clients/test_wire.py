"""Bare requests, as curl makes them and programs that have no client."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.contract.replica.scripted import Server, Witness, ids_of, serving, settings

ASK = {"inputs": "hi"}
CHAT = {"model": "any/name", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(settings(tmp_path), Witness(ids_of("hello", tmp_path))) as running:
        yield running


async def test_curl_shows_a_token_while_the_next_one_is_not_made_yet(tmp_path: Path):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    engine = Witness(ids_of("hello world", tmp_path), delay_s=0.05)
    async with serving(settings(tmp_path), engine) as server:
        process = await asyncio.create_subprocess_exec(
            *(curl, "-sN", f"{server.url}/generate_stream", "-H", "content-type: application/json"),
            *("-d", json.dumps(ASK)),
            stdout=asyncio.subprocess.PIPE,
        )
        first = await process.stdout.readuntil(b"\n\n")
        engine.pause()
        assert engine.live == 1
        engine.resume()
        rest, _ = await process.communicate()
    assert first.startswith(b'data: {"index":1,')
    assert b'"generated_text":"hello world"' in rest


async def test_a_body_said_to_be_something_else_than_json_is_refused_in_json(server: Server):
    async with aiohttp.ClientSession(server.url) as session:
        form = await session.post("/generate", data=b"{}", headers={"Content-Type": "text/plain"})
        assert (form.status, (await form.json())["error_type"]) == (415, "validation")
        unsaid = await session.post("/generate", data=json.dumps(ASK).encode())
        assert unsaid.status == 200


async def test_a_stream_of_v1_ends_with_done_and_one_of_tgi_does_not(server: Server):
    ends = {}
    async with aiohttp.ClientSession(server.url) as session:
        for path, body in (
            ("/v1/chat/completions", CHAT | {"stream": True}),
            ("/v1/completions", {"prompt": "hi", "stream": True}),
            ("/generate_stream", ASK),
            ("/", ASK | {"stream": True}),
            ("/invocations", ASK | {"stream": True}),
        ):
            answer = await (await session.post(path, json=body)).read()
            ends[path] = answer.endswith(b"data: [DONE]\n\n")
    assert [path for path, done in ends.items() if done] == ["/v1/chat/completions", "/v1/completions"]


async def test_the_headers_of_a_stream_keep_proxies_from_holding_it_back(server: Server):
    async with aiohttp.ClientSession(server.url) as session:
        headers = (await session.post("/generate_stream", json=ASK)).headers
    assert headers["Content-Type"] == "text/event-stream"
    assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == ("no-cache", "no")
    assert (headers["x-compute-type"], headers["x-compute-characters"]) == ("cpu", "2")


async def test_any_name_of_a_model_is_answered_by_the_one_that_is_served(server: Server):
    async with aiohttp.ClientSession(server.url) as session:
        answer = await (await session.post("/v1/chat/completions", json=CHAT)).json()
        models = await (await session.get("/v1/models")).json()
    assert answer["model"] == "toy/model"
    assert answer["system_fingerprint"] == "3.3.7-native"
    listed = {"id": "toy/model", "object": "model", "created": 0, "owned_by": "toy/model"}
    assert models == {"object": "list", "data": [listed]}


async def test_info_has_tgis_keys_of_3_and_of_1(server: Server):
    async with aiohttp.ClientSession(server.url) as session:
        told = await (await session.get("/info")).json()
    three = (
        "model_id model_sha model_pipeline_tag max_concurrent_requests max_best_of max_stop_sequences "
        "max_input_tokens max_total_tokens validation_workers max_client_batch_size router version sha "
        "docker_label"
    )
    one = (
        "model_dtype model_device_type max_input_length waiting_served_ratio max_batch_total_tokens "
        "max_waiting_tokens"
    )
    assert list(told) == f"{three} {one}".split()


async def test_a_refusal_in_a_stream_of_v1_is_an_event_and_done(server: Server):
    async with aiohttp.ClientSession(server.url) as session:
        body = CHAT | {"stream": True, "max_tokens": 1000}
        response = await session.post("/v1/chat/completions", json=body)
        refused, done = (await response.text()).removesuffix("\n\n").split("\n\n")
    assert (response.status, done) == (200, "data: [DONE]")
    error = json.loads(refused.removeprefix("data: "))["error"]
    assert error["http_status_code"] == 422
    assert "must be <= 128" in error["message"]


async def test_a_text_completion_stops_at_a_stop_string(tmp_path: Path):
    engine = Witness(ids_of("the quick brown fox", tmp_path, eos=False))
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession(server.url) as session:
        answer = await (await session.post("/v1/completions", json={"prompt": "a", "stop": "brown"})).json()
    (choice,) = answer["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("the quick brown", "stop_sequence")
