"""TGI's streams over a real socket: their bytes, their chunks, and what happens when somebody leaves."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.contract.replica.scripted import Server, Witness, ids_of, serving, settings
from tests.support.waiting import until

from nearstream.replica.writer import ResponseWriter
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits
from nearstream.wire.framing import sse


async def chunks(server: Server, path: str, body: dict[str, Any]) -> list[bytes]:
    """The answer's HTTP chunks."""
    async with aiohttp.ClientSession() as session, session.post(server.url + path, json=body) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-cache"
        found, whole = [], b""
        async for data, ends in response.content.iter_chunks():
            whole += data
            if ends:
                found.append(whole)
                whole = b""
        return found


def events(found: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in sse.Decoder().feed(b"".join(found))]


async def test_every_token_is_one_event_in_one_chunk(tmp_path: Path):
    ids = ids_of("hello 😀 world", tmp_path)
    async with serving(settings(tmp_path), Witness(ids)) as server:
        found = await chunks(server, "/generate_stream", {"inputs": "hi", "parameters": {"details": True}})
    assert len(found) == len(ids)
    assert all(chunk.startswith(b"data: {") and chunk.count(b"\n\n") == 1 for chunk in found)
    said = events(found)
    assert [event["index"] for event in said] == list(range(1, len(ids) + 1))
    assert [event["token"]["id"] for event in said] == ids
    assert "".join(event["token"]["text"] for event in said[:-1]) == "hello 😀 world"
    assert said[-1]["token"] == {"id": 2, "text": "</s>", "logprob": -0.5, "special": True}
    assert said[-1]["generated_text"] == "hello 😀 world"
    details = {"finish_reason": "eos_token", "generated_tokens": len(ids), "seed": None, "input_length": 3}
    assert said[-1]["details"] == details
    assert all(event["generated_text"] is None and event["details"] is None for event in said[:-1])


async def test_a_stop_string_ends_the_answer_and_stays_in_it(tmp_path: Path):
    engine = Witness(ids_of("the quick brown fox", tmp_path))
    async with serving(settings(tmp_path), engine) as server:
        parameters = {"stop": ["brow"], "details": True}
        said = events(await chunks(server, "/generate_stream", {"inputs": "hi", "parameters": parameters}))
        await until(lambda: engine.live == 0)
    assert said[-1]["generated_text"].endswith("brown") or said[-1]["generated_text"].endswith("brow")
    assert said[-1]["details"]["finish_reason"] == "stop_sequence"


async def test_a_control_token_can_be_a_stop_string(tmp_path: Path):
    ids = ids_of("hello <|user|> more", tmp_path, eos=False)
    async with serving(settings(tmp_path), Witness(ids)) as server:
        body = {"inputs": "hi", "parameters": {"stop": ["<|user|>"]}}
        said = events(await chunks(server, "/generate_stream", body))
    assert said[-1]["token"]["text"] == "<|user|>"
    assert said[-1]["generated_text"] == "hello "


async def test_length_comes_before_the_models_end_and_that_before_a_stop_string(tmp_path: Path):
    ids = ids_of("hello", tmp_path)
    async with serving(settings(tmp_path), Witness(ids)) as server:
        for count, reason in ((len(ids), "length"), (len(ids) + 1, "eos_token")):
            parameters = {"max_new_tokens": count, "stop": ["</s>"], "details": True}
            said = events(await chunks(server, "/generate_stream", {"inputs": "a", "parameters": parameters}))
            assert said[-1]["details"]["finish_reason"] == reason


async def test_a_client_that_leaves_while_the_engine_is_silent_aborts_it(tmp_path: Path):
    engine = Witness(ids_of("hello", tmp_path, eos=False), delay_s=0.05)
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession() as session:
        response = await session.post(server.url + "/generate_stream", json={"inputs": "hi"})
        await response.content.readuntil(b"\n\n")
        engine.pause()
        assert engine.live == 1
        response.close()
        await until(lambda: engine.live == 0)


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
async def test_a_client_that_leaves_before_the_first_token_aborts_it_too(tmp_path: Path, path: str):
    engine = Witness(ids_of("hello", tmp_path))
    engine.pause()
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession() as session:
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(session.post(server.url + path, json={"inputs": "hi"}))
            await until(lambda: engine.live == 1)
            call.cancel()
        await until(lambda: engine.live == 0)


async def test_an_engine_that_dies_is_told_in_the_stream(tmp_path: Path):
    ids = ids_of("hello", tmp_path, eos=False)
    message = "Request failed during generation: it ended with signal 9"
    bodies: dict[str, dict[str, Any]] = {
        "/generate_stream": {"inputs": "hi"},
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}], "stream": True},
    }
    ends = {}
    for path, body in bodies.items():
        engine = Witness(ids, delay_s=0.01)
        async with serving(settings(tmp_path), engine) as server, asyncio.TaskGroup() as tasks:
            call = tasks.create_task(chunks(server, path, body))
            await until(partial(engine.has_said, 2))
            engine.die("it ended with signal 9")
        ends[path] = call.result()
    assert events(ends["/generate_stream"])[-1] == {"error": message, "error_type": "generation"}
    broken, done = ends["/v1/chat/completions"][-2:]
    said = json.loads(broken.removeprefix(b"data: "))
    assert said == {"error": {"message": message, "http_status_code": 422}}
    assert done == b"data: [DONE]\n\n"


async def test_an_engine_that_is_being_restarted_is_told_by_a_status(tmp_path: Path):
    engine = Witness([7])
    engine.die()
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession(server.url) as session:
        response = await session.post("/generate_stream", json={"inputs": "hi"})
        assert (response.status, (await response.json())["error_type"]) == (503, "healthcheck")


async def test_what_an_engine_cannot_do_is_refused_not_ignored(tmp_path: Path):
    engine = Witness([7])
    async with serving(settings(tmp_path), engine) as server:
        body = {"inputs": "hi", "parameters": {"typical_p": 0.5}}
        said = events(await chunks(server, "/generate_stream", body))
        async with aiohttp.ClientSession() as session:
            whole = await session.post(server.url + "/generate", json=body)
            assert whole.status == 422
            assert await whole.json() == said[0]
    refused = "Input validation error: `typical_p` is not supported by the scripted engine"
    assert said == [{"error": refused, "error_type": "validation"}]


async def test_a_reader_that_takes_nothing_holds_the_engine_back(tmp_path: Path):
    many = 1_000_000
    engine = Witness(ids_of("hello", tmp_path, eos=False))
    terms = Terms(limits=Limits(max_input_tokens=64, max_total_tokens=2 * many))
    async with serving(settings(tmp_path, terms=terms), engine) as server, reading_nothing(server, many):
        said = -1
        async with asyncio.timeout(30):
            while said != engine.said:  # until it has stood still for a while
                said = engine.said
                await asyncio.sleep(0.3)
        assert 0 < said < many
        assert engine.live == 1
    assert engine.live == 0


async def test_a_reader_that_takes_nothing_for_too_long_loses_its_connection(tmp_path: Path):
    many = 1_000_000
    engine = Witness(ids_of("hello", tmp_path, eos=False))
    terms = Terms(limits=Limits(max_input_tokens=64, max_total_tokens=2 * many))
    told = settings(tmp_path, terms=terms, stall_s=0.2)
    async with serving(told, engine) as server, reading_nothing(server, many):
        await until(lambda: engine.said > 0)
        await until(lambda: engine.live == 0)
    assert engine.said < many


async def test_a_reader_that_stops_before_the_last_bytes_loses_its_connection_too(tmp_path: Path):
    ended = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        response = web.StreamResponse(headers={"Content-Type": sse.CONTENT_TYPE})
        writer = ResponseWriter(request, response, stall_s=0.2)
        for size in (68_000, 60_000):  # the first leaves the buffer just below its bound, the second above it
            await writer.write(bytes(size))
        with pytest.raises(ConnectionResetError, match="took too little"):
            await writer.close()
        ended.set()
        return writer.abandon()

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "s")).start()
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "s"), limit=1024)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            await ended.wait()
    finally:
        writer.close()
        await runner.cleanup()


async def test_clients_that_come_and_go_leave_nothing_behind(tmp_path: Path):
    engine = Witness(ids_of("the quick brown fox", tmp_path, eos=False), delay_s=0.001)
    terms = Terms(limits=Limits(max_input_tokens=64, max_total_tokens=128, max_concurrent_requests=20))

    async def visit(session: aiohttp.ClientSession, events_to_read: int) -> None:
        response = await session.post("/generate_stream", json={"inputs": "hi"})
        with suppress(asyncio.IncompleteReadError):
            for _ in range(events_to_read):
                await response.content.readuntil(b"\n\n")
        response.close()

    connector = aiohttp.TCPConnector(limit=0)
    async with (
        serving(settings(tmp_path, terms=terms), engine) as server,
        aiohttp.ClientSession(server.url, connector=connector) as session,
    ):
        async with asyncio.TaskGroup() as tasks:
            for count in range(100):
                tasks.create_task(visit(session, count % 7))
        await until(lambda: engine.live == 0)
        said = events(await chunks(server, "/generate_stream", {"inputs": "hi"}))
    assert said[-1]["generated_text"]


@asynccontextmanager
async def reading_nothing(server: Server, tokens: int) -> AsyncIterator[None]:
    """A client that asks for many tokens and leaves them all in the socket."""
    host, port = server.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, port, limit=1)
    body = json.dumps({"inputs": "hi", "parameters": {"max_new_tokens": tokens}}).encode()
    head = f"POST /generate_stream HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    try:
        yield
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("path", "beats"), [("/generate_stream", True), ("/", True), ("/invocations", False)]
)
async def test_a_silent_stream_is_kept_alive_where_comments_may_come(tmp_path: Path, path: str, beats: bool):
    engine = Witness(ids_of("hello", tmp_path))
    engine.pause()
    told = settings(tmp_path, keepalive_s=0.05)
    async with serving(told, engine) as server, aiohttp.ClientSession(server.url) as session:
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(session.post(path, json={"inputs": "hi", "stream": True}))
            await until(lambda: engine.live == 1)
            await asyncio.sleep(0.3)
            assert call.done() is beats
            engine.resume()
        whole = await call.result().read()
    assert whole.startswith(b":\n\n:\n\n") is beats
    assert b"\n\ndata: " in whole
    assert events([whole])[-1]["generated_text"] in {"hello", "hihello"}


async def test_a_stream_that_was_kept_alive_tells_of_failure_inside_itself(tmp_path: Path):
    engine = Witness(ids_of("hello", tmp_path))
    engine.pause()
    told = settings(tmp_path, keepalive_s=0.05)
    async with serving(told, engine) as server, aiohttp.ClientSession(server.url) as session:
        response = await session.post("/generate_stream", json={"inputs": "hi"})
        engine.die("it ended with signal 9")
        assert events([await response.read()])[-1]["error_type"] == "generation"
