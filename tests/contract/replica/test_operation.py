"""Requests have ids to be aborted by and a priority."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import aiohttp
from tests.contract.replica.scripted import AS_MANAGER, Server, Witness, ids_of, serving, settings
from tests.contract.replica.test_metrics import failures, scraped
from tests.support.waiting import until

from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

ASK = {"inputs": "hi"}
ABORTED = "Request failed during generation: the request was aborted"


def talking(tmp_path: Path) -> Witness:
    return Witness(ids_of("hello", tmp_path, eos=False), delay_s=0.01)


async def test_every_answer_carries_its_requests_id_also_a_refusal(tmp_path: Path):
    async with serving(settings(tmp_path), Witness([7])) as server, aiohttp.ClientSession() as session:
        seen = []
        for path, body in (("/generate", ASK), ("/generate_stream", ASK), ("/generate", {}), ("/", b"{")):
            data = {"data": body} if isinstance(body, bytes) else {"json": body}
            response = await session.post(server.url + path, **data)
            seen.append(response.headers["x-request-id"])
            await response.read()
        assert len(set(seen)) == 4
        named = await session.post(server.url + "/generate", json=ASK, headers={"x-request-id": "mine-1"})
        assert named.headers["x-request-id"] == "mine-1"
        bad = await session.post(server.url + "/generate", json=ASK, headers={"x-request-id": "a b<c>"})
        assert bad.headers["x-request-id"] != "a b<c>"


async def test_an_aborted_stream_ends_with_an_error_event_and_frees_the_engine(tmp_path: Path):
    engine = talking(tmp_path)
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession(server.url) as session:
        response = await session.post("/generate_stream", json=ASK)
        await response.content.readuntil(b"\n\n")
        engine.pause()
        request_id = response.headers["x-request-id"]
        aborted = await session.post(f"/abort/{request_id}", headers=AS_MANAGER)
        assert (aborted.status, await aborted.json()) == (200, {"request_id": request_id, "aborted": True})
        rest = await response.read()
        assert rest.endswith(b'data: {"error":"%b","error_type":"generation"}\n\n' % ABORTED.encode())
        assert engine.live == 0
        assert await failures(server) == {"aborted": 1}
        gone = await session.post(f"/abort/{request_id}", headers=AS_MANAGER)
        assert (gone.status, (await gone.json())["error_type"]) == (404, "not_found")


async def test_a_whole_answer_is_aborted_by_the_id_that_its_client_chose(tmp_path: Path):
    engine = talking(tmp_path)
    engine.pause()
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession(server.url) as session:
        async with asyncio.TaskGroup() as tasks:
            asked = session.post("/generate", json=ASK, headers={"x-request-id": "mine"})
            call = tasks.create_task(asked)
            await until(lambda: engine.live == 1)
            assert (await session.post("/abort/mine", headers=AS_MANAGER)).status == 200
        assert call.result().status == 424
        assert (await call.result().json())["error"] == ABORTED
        assert engine.live == 0


async def test_a_request_that_waits_in_line_can_be_aborted(tmp_path: Path):
    engine = talking(tmp_path)
    engine.pause()
    told = settings(tmp_path, max_batch_size=1)
    async with (
        serving(told, engine) as server,
        aiohttp.ClientSession(server.url) as session,
        asyncio.TaskGroup() as tasks,
    ):
        first = tasks.create_task(session.post("/generate", json=ASK))
        await until(lambda: engine.live == 1)
        asked = session.post("/generate", json=ASK, headers={"x-request-id": "waiting"})
        second = tasks.create_task(asked)
        await until(lambda: in_line(server, 1))
        await session.post("/abort/waiting", headers=AS_MANAGER)
        assert (await second).status == 424
        assert (await scraped(server))["tgi_queue_size"] == 0
        engine.resume()
        assert (await first).status == 200


async def test_a_stream_whose_reader_is_slow_is_aborted_too(tmp_path: Path):
    many = 1_000_000
    engine = Witness(ids_of("hello", tmp_path, eos=False))
    terms = Terms(limits=Limits(max_input_tokens=64, max_total_tokens=2 * many))
    async with serving(settings(tmp_path, terms=terms), engine) as server:
        async with aiohttp.ClientSession(server.url, read_bufsize=1) as session:
            body = ASK | {"parameters": {"max_new_tokens": many}}
            response = await session.post("/generate_stream", json=body, headers={"x-request-id": "slow"})
            await until(lambda: engine.said > 1000)
            await session.post("/abort/slow", headers=AS_MANAGER)
            assert ABORTED.encode() in await response.read()
            await until(lambda: engine.live == 0)
        assert engine.said < many


async def test_one_id_is_of_one_request_at_a_time(tmp_path: Path):
    engine = talking(tmp_path)
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession(server.url) as session:
        name = {"x-request-id": "mine"}
        first = await session.post("/generate_stream", json=ASK, headers=name)
        second = await session.post("/generate_stream", json=ASK, headers=name)
        assert first.headers["x-request-id"] == "mine" != second.headers["x-request-id"]
        await session.post("/abort/mine", headers=AS_MANAGER)
        assert ABORTED.encode() in await first.read()
        assert ABORTED.encode() not in await second.read()


async def test_aborting_needs_the_key(tmp_path: Path):
    for told in (settings(tmp_path), settings(tmp_path, api_key="secret")):
        async with serving(told, Witness([7])) as server, aiohttp.ClientSession(server.url) as session:
            assert (await session.post("/abort/any")).status == 401
            assert (await session.post("/abort/any", headers=AS_MANAGER)).status == 404


async def test_who_has_priority_goes_first(tmp_path: Path):
    engine = Witness(ids_of("hello", tmp_path))
    engine.pause()
    told = settings(tmp_path, max_batch_size=1)
    async with serving(told, engine) as server, aiohttp.ClientSession(server.url) as session:
        async with asyncio.TaskGroup() as tasks:
            for place, priority in enumerate(["normal", "low", "normal", "HIGH"]):
                asked = {"inputs": "a " * (place + 1)}
                headers = {"x-nearstream-priority": priority}
                tasks.create_task(session.post("/generate", json=asked, headers=headers))
                waiting = max(place, 0)
                await until(partial(in_line, server, waiting))
            engine.resume()
        lengths = [len(prompt) for prompt, _, _ in engine.asked]
        assert [sorted(lengths).index(length) for length in lengths] == [0, 3, 2, 1]
        wrong = await session.post("/generate", json=ASK, headers={"x-nearstream-priority": "urgent"})
        assert wrong.status == 422
        assert "must be high, normal or low. Given: urgent" in (await wrong.json())["error"]


async def test_a_whole_answer_says_how_long_it_waited_in_line(tmp_path: Path):
    engine = Witness(ids_of("hello", tmp_path), delay_s=0.01)
    told = settings(tmp_path, max_batch_size=1)
    async with serving(told, engine) as server, aiohttp.ClientSession(server.url) as session:
        answers = await asyncio.gather(*(session.post("/generate", json=ASK) for _ in range(2)))
        waits = sorted(int(answer.headers["x-queue-time"]) for answer in answers)
        assert waits[0] == 0 < waits[1]


async def in_line(server: Server, wanted: int) -> bool:
    found = await scraped(server)
    return found["tgi_queue_size"] == wanted and found["tgi_batch_current_size"] == 1


async def test_every_request_ends_as_one_success_or_one_failure_and_leaves_nothing(tmp_path: Path):
    engine = Witness(ids_of("the quick brown fox", tmp_path, eos=False), delay_s=0.001)
    terms = Terms(limits=Limits(max_input_tokens=64, max_total_tokens=128, max_concurrent_requests=20))
    told = settings(tmp_path, terms=terms, max_batch_size=4, max_batch_tokens=200)

    async def visit(session: aiohttp.ClientSession, number: int) -> None:
        """Stay to the end, leave in the middle, or be aborted there."""
        headers = {
            "x-request-id": str(number),
            "x-nearstream-priority": ("high", "normal", "low")[number % 3],
        }
        body = ASK | {"parameters": {"max_new_tokens": number % 40}}
        response = await session.post("/generate_stream", json=body, headers=headers)
        match number % 5:
            case 0:
                response.close()
            case 1:
                await session.post(f"/abort/{number}", headers=AS_MANAGER)
        await response.read()

    connector = aiohttp.TCPConnector(limit=0)
    async with (
        serving(told, engine) as server,
        aiohttp.ClientSession(server.url, connector=connector) as session,
    ):
        visits = [visit(session, number) for number in range(100)]
        await asyncio.gather(*visits, return_exceptions=True)

        async def quiet() -> bool:
            found = await scraped(server)
            ended = found["tgi_request_success"] + sum((await failures(server)).values())
            return ended == found["tgi_request_count"] == 100

        await until(quiet)
        found = await scraped(server)
        for gauge in ("tgi_queue_size", "tgi_batch_current_size", "tgi_batch_current_max_tokens"):
            assert found[gauge] == 0
        assert found["tgi_request_success"] > 0
        assert {"overloaded", "validation"} <= set(await failures(server))
        assert engine.live == 0
