"""A model server's life: not ready, ready, full, draining; ports, sockets and files it cannot use."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from tests.contract.replica.scripted import Witness, ids_of, serving, settings
from tests.support.waiting import until

from nearstream.core.errors import Unusable
from nearstream.replica.tgi.server import serve

UNHEALTHY = {"error": "unhealthy", "error_type": "healthcheck"}
ASK = {"inputs": "hi"}


async def test_it_is_unhealthy_until_the_model_is_warm(tmp_path: Path):
    gate = asyncio.Event()
    engine = Witness(ids_of("hello", tmp_path))
    async with (
        serving(settings(tmp_path), engine, gate=gate) as server,
        aiohttp.ClientSession(server.url) as session,
    ):

        async def healthy() -> bool:
            return (await session.get("/ping")).status == 200

        for path in ("/ping", "/health", "/"):
            response = await session.get(path)
            assert (response.status, await response.json()) == (503, UNHEALTHY)
        for path in ("/generate", "/generate_stream", "/invocations"):
            response = await session.post(path, json=ASK)
            assert (response.status, await response.json()) == (503, UNHEALTHY)
        gate.set()
        await until(healthy)
        assert await (await session.get("/health")).read() == b""
        engine.die()
        assert not await healthy()


async def test_one_call_too_many_is_overloaded_and_the_others_are_served(tmp_path: Path):
    engine = Witness(ids_of("hello", tmp_path), max_seqs=128)
    engine.pause()
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        serving(settings(tmp_path), engine) as server,
        aiohttp.ClientSession(server.url, connector=connector) as session,
        asyncio.TaskGroup() as tasks,
    ):
        calls = [tasks.create_task(session.post("/generate", json=ASK)) for _ in range(128)]
        await until(lambda: engine.live == 128)
        overloaded = {"error": "Model is overloaded", "error_type": "overloaded"}
        refused = await session.post("/generate", json=ASK)
        assert (refused.status, await refused.json()) == (429, overloaded)
        streamed = await session.post("/generate_stream", json=ASK)
        text = b'data: {"error":"Model is overloaded","error_type":"overloaded"}\n\n'
        assert (streamed.status, await streamed.read()) == (200, text)
        engine.resume()
        assert {(await call).status for call in calls} == {200}
        assert (await session.post("/generate", json=ASK)).status == 200


async def test_a_stop_lets_answers_under_way_finish(tmp_path: Path):
    engine = Witness(ids_of("hello world", tmp_path), delay_s=0.02)
    async with serving(settings(tmp_path), engine) as server, aiohttp.ClientSession(server.url) as session:
        response = await session.post("/generate_stream", json=ASK)
        await response.content.readuntil(b"\n\n")
        engine.pause()
        server.stop.set()
        port = int(server.url.rsplit(":", 1)[1])
        await until(lambda: refuses(port))
        engine.resume()
        rest = await response.read()
    assert b'"generated_text":"hello world"' in rest


async def test_a_stop_does_not_wait_longer_than_its_grace(tmp_path: Path):
    engine = Witness(ids_of("hello", tmp_path, eos=False), delay_s=0.02)
    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(5), serving(settings(tmp_path, grace_s=0.2), engine) as server:
            response = await session.post(server.url + "/generate_stream", json=ASK)
            await response.content.readuntil(b"\n\n")
            engine.pause()
        assert engine.live == 0


async def test_a_stop_does_not_wait_for_connections_that_only_stay_open(tmp_path: Path):
    async with aiohttp.ClientSession() as session:
        told = settings(tmp_path, grace_s=60.0)
        async with asyncio.timeout(5), serving(told, Witness(ids_of("hello", tmp_path))) as server:
            assert (await session.post(server.url + "/generate", json=ASK)).status == 200


async def test_sigterm_stops_it(tmp_path: Path):
    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(5):
        await serve(settings(tmp_path), lambda: opened(Witness([7])), on_ready=stop)


async def test_a_stop_while_the_model_loads_is_heard(tmp_path: Path):
    gate = asyncio.Event()
    async with asyncio.timeout(5), serving(settings(tmp_path), Witness([7]), gate=gate) as server:
        server.stop.set()


async def test_a_unix_socket_is_private_and_goes_with_the_server(tmp_path: Path):
    path = tmp_path / "replica.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    engine = Witness(ids_of("hello", tmp_path))
    async with serving(settings(tmp_path, port=None, socket=path), engine):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
            response = await session.post("http://replica/invocations", json=ASK)
            assert await response.json() == [{"generated_text": "hihello"}]
        with pytest.raises(Unusable, match="another server"):
            await serve(settings(tmp_path, port=None, socket=path), no_engine)
    assert not path.exists()


async def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path: Path):
    with pytest.raises(Unusable, match="nothing to listen on"):
        await serve(settings(tmp_path, port=None), no_engine)
    (tmp_path / "file").write_text("")
    with pytest.raises(Unusable, match="no socket"):
        await serve(settings(tmp_path, port=None, socket=tmp_path / "file"), no_engine)
    told = settings(tmp_path)
    with pytest.raises(Unusable, match="weights"):
        await serve(told, no_engine)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(Unusable, match="tokenizer"):
        await serve(told, no_engine)


@asynccontextmanager
async def opened(engine: Witness) -> AsyncIterator[Witness]:
    yield engine


@asynccontextmanager
async def no_engine() -> AsyncIterator[Witness]:
    raise Unusable("no weights")
    yield


async def refuses(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    writer.close()
    return False
