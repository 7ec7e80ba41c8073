"""Connections that idle, come half, or never come: each ends by a time limit, and none holds up a stop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.faults.harness import exchange, model_server, post, received, seconds_to_end
from tests.faults.servers import SHORT, echo_app, echo_door
from tests.support.waiting import until

from nearstream.connections.limits import ConnectionLimits, limits_within

GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SOON_S = 5.0
WELL = b"HTTP/1.1 200"


@contextmanager
def connected(port: int, sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(sent)
        yield client


async def rest(client: socket.socket) -> bytes:
    """All that still comes, and how the connection ends."""
    return await asyncio.to_thread(received, client)


async def answer(client: socket.socket) -> bytes:
    return await asyncio.to_thread(client.recv, 65536)


async def test_a_silent_connection_is_closed():
    async with echo_door() as echo, asyncio.timeout(SOON_S):
        with connected(echo.port) as client:
            assert await rest(client) == b""


async def test_a_half_sent_head_is_answered_with_408():
    async with echo_door() as echo, asyncio.timeout(SOON_S):
        with connected(echo.port, GET[:-4]) as client:
            assert (await rest(client)).startswith(b"HTTP/1.1 408")


async def test_a_head_that_comes_byte_by_byte_has_no_longer():
    async with echo_door() as echo, asyncio.timeout(SOON_S):
        with connected(echo.port, GET[:-2]) as client:

            async def drip() -> None:
                while True:
                    await asyncio.sleep(0.05)
                    await asyncio.to_thread(client.send, b"A: b\r\n")

            dripping = asyncio.ensure_future(drip())
            assert (await rest(client)).startswith(b"HTTP/1.1 408")
            dripping.cancel()


async def test_a_second_head_that_comes_half_is_answered_with_408():
    async with echo_door(replace(SHORT, idle_s=30.0)) as echo, asyncio.timeout(SOON_S):
        with connected(echo.port, GET) as client:
            assert (await answer(client)).startswith(WELL)
            client.sendall(GET[:9])
            assert (await rest(client)).startswith(b"HTTP/1.1 408")


async def test_a_connection_that_idles_after_its_answer_is_closed():
    async with echo_door() as echo, asyncio.timeout(SOON_S):
        with connected(echo.port, GET) as client:
            assert (await answer(client)).startswith(WELL)
            assert await rest(client) == b""


async def test_a_body_that_does_not_come_is_answered_with_408():
    for server in (echo_app, echo_door):
        async with server() as echo, asyncio.timeout(SOON_S):
            with connected(echo.port, post("/", b"x" * 500)[:-400]) as client:
                assert (await rest(client)).startswith(b"HTTP/1.1 408")
            assert echo.lengths == []


async def test_a_body_that_comes_slowly_but_on_is_read():
    limits = replace(SHORT, body_s=0.4, body_bytes=10)
    async with echo_app(limits) as echo, asyncio.timeout(20):
        sent = post("/", b"x" * 60)
        with connected(echo.port, sent[:-60]) as client:
            for at in range(-60, 0, 10):
                await asyncio.sleep(0.2)
                client.sendall(sent[at : at + 10 or None])
            assert WELL in await rest(client)
        assert echo.lengths == [60]


async def test_a_body_that_the_application_has_not_asked_for_is_waited_for():
    async with echo_app(max_bytes=1 << 24) as echo, asyncio.timeout(20):
        sent = asyncio.ensure_future(asyncio.to_thread(exchange, echo.port, post("/wait", bytes(1 << 23))))
        await asyncio.sleep(4 * SHORT.body_s)
        echo.gate.set()
        assert WELL in await sent
        assert echo.lengths == [1 << 23]


async def test_a_body_that_goes_on_after_its_refusal_is_no_head():
    async with echo_app(max_bytes=1000) as echo, asyncio.timeout(20):
        refused = await asyncio.to_thread(exchange, echo.port, post("/", bytes(1 << 20)))
        assert refused.startswith(b"HTTP/1.1 413")
        assert refused.count(b"HTTP/1.1") == 1


async def test_an_answer_that_takes_longer_than_every_limit_is_waited_for():
    async with echo_door() as echo, asyncio.timeout(SOON_S):
        with connected(echo.port, post("/wait", b"x")) as client:
            await asyncio.sleep(3 * SHORT.idle_s)
            echo.gate.set()
            assert WELL in await rest(client)


async def test_a_connection_too_many_takes_the_place_of_one_that_idles():
    limits = ConnectionLimits(total=8, unproven=8)
    async with echo_door(limits) as echo, asyncio.timeout(SOON_S):
        clients = [socket.create_connection(("127.0.0.1", echo.port), timeout=5) for _ in range(30)]
        try:
            assert (await asyncio.to_thread(exchange, echo.port, post("/", b"x"))).startswith(WELL)
            await until(lambda: sum(closed(client) for client in clients) >= 23)
        finally:
            for client in clients:
                client.close()


def closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def test_connections_that_were_never_answered_make_room_before_those_that_were():
    limits = ConnectionLimits(total=8, unproven=4)
    async with echo_door(limits) as echo, asyncio.timeout(SOON_S):
        with connected(echo.port, GET) as regular:
            assert (await answer(regular)).startswith(WELL)
            silent = [socket.create_connection(("127.0.0.1", echo.port), timeout=5) for _ in range(30)]
            await until(lambda: sum(closed(client) for client in silent) >= 26)
            regular.sendall(GET)
            assert (await answer(regular)).startswith(WELL)
            for client in silent:
                client.close()


async def test_beyond_the_calls_that_are_served_a_connection_gets_503():
    limits = ConnectionLimits(total=4, unproven=4)
    async with echo_door(limits) as echo, asyncio.timeout(SOON_S):
        busy = [socket.create_connection(("127.0.0.1", echo.port), timeout=5) for _ in range(4)]
        for client in busy:
            client.sendall(post("/wait", b"x"))
        await asyncio.sleep(0.1)
        refused = await asyncio.to_thread(exchange, echo.port, GET)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b'"__type":"ServiceUnavailableException"' in refused
        echo.gate.set()
        for client in busy:
            assert WELL in await rest(client)
            client.close()
        assert len(echo.lengths) == 4


async def test_a_stop_waits_for_no_body_that_does_not_come():
    async with asyncio.timeout(SOON_S):
        async with echo_door(replace(SHORT, body_s=60.0), grace_s=60.0) as echo:
            client = socket.create_connection(("127.0.0.1", echo.port), timeout=5)
            client.sendall(post("/", b"x" * 500)[:-400])
            await asyncio.sleep(0.1)
        with client:
            assert (await rest(client)).startswith(b"HTTP/1.1 408")


def test_sigterm_is_not_held_by_a_body_that_does_not_come(tmp_path: Path):
    with (
        model_server(tmp_path / "log", limit=1024) as (port, process),
        connected(port, post("/generate", b"x" * 500)[:-400]),
        connected(port, GET[:9]),
        connected(port),
    ):
        time.sleep(0.2)
        assert seconds_to_end(process, within_s=60) < 10


def test_connections_stay_within_a_process_s_descriptors():
    assert limits_within(256).total == 160
    assert limits_within(256, per_connection=2).total == 80
    assert limits_within(64).total >= 16
    assert limits_within(1 << 20).total == 16_384
