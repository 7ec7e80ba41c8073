"""What a server tells of its work on /metrics, under TGI's names, judged by Prometheus' own parser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.contract.replica.scripted import Server, Witness, ids_of, serving, settings
from tests.contract.replica.test_stream import reading_nothing
from tests.support.waiting import until

from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

ASK = {"inputs": "hi"}
TGI_NAMES = {
    "tgi_request_count": "counter",
    "tgi_request_success": "counter",
    "tgi_request_failure": "counter",
    "tgi_queue_size": "gauge",
    "tgi_batch_current_size": "gauge",
    "tgi_batch_current_max_tokens": "gauge",
    "tgi_batch_max_total_tokens": "gauge",
    "tgi_request_duration": "histogram",
    "tgi_request_validation_duration": "histogram",
    "tgi_request_queue_duration": "histogram",
    "tgi_request_inference_duration": "histogram",
    "tgi_request_mean_time_per_token_duration": "histogram",
    "tgi_request_generated_tokens": "histogram",
    "tgi_request_input_length": "histogram",
    "tgi_request_max_new_tokens": "histogram",
    "tgi_request_first_token_duration": "histogram",
    "tgi_request_inter_token_duration": "histogram",
}


async def scraped(server: Server) -> dict[str, float]:
    """Every sample but the buckets: its name, with the cause of a failure after a colon."""
    async with aiohttp.ClientSession(server.url) as session:
        response = await session.get("/metrics")
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = text_string_to_metric_families(await response.text())
    return {
        # The parser adds the suffix to counters that have none.
        ":".join([sample.name.removesuffix("_total"), *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


async def failures(server: Server) -> dict[str, float]:
    """The causes that were counted."""
    head = "tgi_request_failure:"
    found = await scraped(server)
    return {name.removeprefix(head): n for name, n in found.items() if name.startswith(head) and n}


async def test_the_names_and_kinds_are_tgis(tmp_path: Path):
    async with serving(settings(tmp_path), Witness([7])) as server, aiohttp.ClientSession() as session:
        text = await (await session.get(server.url + "/metrics")).text()
    kinds = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE"))
    assert kinds == TGI_NAMES


@pytest.mark.parametrize("path", ["/generate", "/generate_stream", "/invocations", "/v1/completions"])
async def test_an_answer_is_counted_and_measured(tmp_path: Path, path: str):
    ids = ids_of("hello world", tmp_path)
    body = (
        {"prompt": "hi", "max_tokens": 50} if "v1" in path else ASK | {"parameters": {"max_new_tokens": 50}}
    )
    async with serving(settings(tmp_path), Witness(ids)) as server, aiohttp.ClientSession() as session:
        response = await session.post(server.url + path, json=body)
        assert response.status == 200
        await response.read()
        found = await scraped(server)
    assert (found["tgi_request_count"], found["tgi_request_success"]) == (1, 1)
    assert found["tgi_request_generated_tokens_sum"] == len(ids)
    assert found["tgi_request_input_length_sum"] == 3
    assert found["tgi_request_max_new_tokens_sum"] == 50
    assert found["tgi_request_first_token_duration_count"] == 1
    assert found["tgi_request_inter_token_duration_count"] == len(ids) - 1
    for name in ("", "validation_", "queue_", "inference_", "mean_time_per_token_"):
        assert found[f"tgi_request_{name}duration_count"] == 1
    assert found["tgi_request_inference_duration_sum"] <= found["tgi_request_duration_sum"]


async def test_an_answer_ended_by_a_stop_string_is_a_success(tmp_path: Path):
    engine = Witness(ids_of("the quick brown fox", tmp_path, eos=False))
    body = {"inputs": "hi", "parameters": {"stop": ["brown"]}}
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession() as session:
        await (await session.post(server.url + "/generate_stream", json=body)).read()
        await (await session.post(server.url + "/generate", json=body)).read()
        assert (await scraped(server))["tgi_request_success"] == 2
        assert await failures(server) == {}


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
async def test_a_refusal_is_counted_by_its_cause_also_where_it_is_told_in_a_stream(tmp_path: Path, path: str):
    terms = Terms(limits=Limits(max_input_tokens=8, max_total_tokens=128, payload_limit_bytes=1000))
    async with serving(settings(tmp_path, terms=terms), Witness([7])) as server:
        async with aiohttp.ClientSession(server.url) as session:
            for body in (b"{", b"{}", b'{"inputs":""}', b'{"inputs":"%b"}' % (b"a " * 90), b" " * 2000):
                await session.post(path, data=body)
        assert await failures(server) == {"validation": 5}
        assert (await scraped(server))["tgi_request_count"] == 5


async def test_a_conversation_that_the_template_refuses_is_a_template_failure(tmp_path: Path):
    model = settings(tmp_path)
    refusing = "{% for m in messages if m.role == 'nobody' %}{{ raise_exception('who?') }}{% endfor %}"
    (model.model_directory / "chat_template.jinja").write_text(refusing)
    async with serving(model, Witness([7])) as server, aiohttp.ClientSession() as session:
        body = {"messages": [{"role": "nobody", "content": "x"}]}
        refused = await session.post(server.url + "/v1/chat/completions", json=body)
        assert refused.status == 422
        assert sum((await failures(server)).values()) == 1


async def test_a_tool_that_is_not_there_is_a_validation_failure_as_in_tgi(tmp_path: Path):
    """TGI counts ToolGrammar's errors so (chat_completions in its router/src/server.rs)."""
    function = {"type": "function", "function": {"name": "clock", "parameters": {}}}
    body = {"messages": [{"role": "user", "content": "x"}], "tools": [function], "tool_choice": "watch"}
    async with serving(settings(tmp_path), Witness([7])) as server, aiohttp.ClientSession() as session:
        refused = await session.post(server.url + "/v1/chat/completions", json=body)
        assert (await refused.json())["error_type"] == "tool_error"
        assert await failures(server) == {"validation": 1}


async def test_one_call_too_many_is_counted_as_overloaded(tmp_path: Path):
    terms = Terms(limits=Limits(max_input_tokens=64, max_total_tokens=128, max_concurrent_requests=1))
    engine = Witness(ids_of("hello", tmp_path))
    engine.pause()
    async with (
        serving(settings(tmp_path, terms=terms), engine) as server,
        aiohttp.ClientSession(server.url) as session,
        asyncio.TaskGroup() as tasks,
    ):
        call = tasks.create_task(session.post("/generate", json=ASK))
        await until(lambda: engine.live == 1)
        await (await session.post("/generate", json=ASK)).read()
        await (await session.post("/generate_stream", json=ASK)).read()
        assert await failures(server) == {"overloaded": 2}
        engine.resume()
        assert (await call).status == 200


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
async def test_a_client_that_leaves_is_counted_as_dropped(tmp_path: Path, path: str):
    engine = Witness(ids_of("hello", tmp_path, eos=False))
    engine.pause()
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession() as session:
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(session.post(server.url + path, json=ASK))
            await until(lambda: engine.live == 1)
            call.cancel()
        await until(lambda: engine.live == 0)
        assert await failures(server) == {"dropped": 1}
        assert (await scraped(server))["tgi_request_success"] == 0


async def test_a_reader_that_takes_nothing_for_too_long_is_counted_as_dropped(tmp_path: Path):
    many = 1_000_000
    engine = Witness(ids_of("hello", tmp_path, eos=False))
    terms = Terms(limits=Limits(max_input_tokens=64, max_total_tokens=2 * many))
    told = settings(tmp_path, terms=terms, stall_s=0.2)
    async with serving(told, engine) as server, reading_nothing(server, many):
        await until(lambda: engine.said > 0)
        await until(lambda: engine.live == 0)
        assert await failures(server) == {"dropped": 1}


async def test_it_tells_of_itself_while_the_model_still_loads(tmp_path: Path):
    gate = asyncio.Event()
    async with serving(settings(tmp_path), Witness([7]), gate=gate) as server:
        async with aiohttp.ClientSession(server.url) as session:
            assert (await session.post("/generate", json=ASK)).status == 503
        assert await failures(server) == {"unready": 1}


async def test_an_engine_that_dies_under_a_stream_is_counted_as_generation(tmp_path: Path):
    engine = Witness(ids_of("hello", tmp_path, eos=False), delay_s=0.01)
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession() as session:
        response = await session.post(server.url + "/generate_stream", json=ASK)
        await response.content.readuntil(b"\n\n")
        engine.die()
        assert b'"error_type":"generation"' in await response.read()
        assert await failures(server) == {"generation": 1}
        assert (await session.post(server.url + "/generate", json=ASK)).status == 503
        assert await failures(server) == {"generation": 1, "unready": 1}


async def test_the_gauges_show_the_batch_and_the_line(tmp_path: Path):
    engine = Witness(ids_of("hello", tmp_path))
    engine.pause()
    body = ASK | {"parameters": {"max_new_tokens": 17}}
    told = settings(tmp_path, max_batch_tokens=50)
    async with serving(told, engine) as server, asyncio.TaskGroup() as tasks:
        async with aiohttp.ClientSession(server.url) as session:
            calls = [tasks.create_task(session.post("/generate", json=body)) for _ in range(4)]

            async def all_there() -> bool:
                return (await scraped(server))["tgi_queue_size"] == 2

            await until(all_there)
            found = await scraped(server)
            assert found["tgi_batch_current_size"] == engine.live == 2
            assert found["tgi_batch_current_max_tokens"] == 2 * (3 + 17)
            assert found["tgi_batch_max_total_tokens"] == 50
            engine.resume()
            assert {(await call).status for call in calls} == {200}
        found = await scraped(server)
        assert found["tgi_batch_current_size"] == found["tgi_batch_current_max_tokens"] == 0
        assert found["tgi_request_queue_duration_sum"] > 0


async def test_metrics_need_no_key(tmp_path: Path):
    async with serving(settings(tmp_path, api_key="secret"), Witness([7])) as server:
        assert (await scraped(server))["tgi_request_count"] == 0
