"""The client of replicas and the object store, before servers that a test plays byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from tests.support.waiting import until

from nearstream.core.replicas import Address, HostPort, UnixSocket
from nearstream.frontdoor.upstream.client import Call, NotSwitched, Upstreams
from nearstream.frontdoor.upstream.connection import BodyWithheld, ReplicaGone, connect

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMIT = 1 << 20
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def server(talk: Talk, path: Path | None = None) -> AsyncIterator[Address]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    if path is not None:
        async with await asyncio.start_unix_server(serve, path):
            yield UnixSocket(str(path))
    else:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
            yield HostPort("127.0.0.1", listening.sockets[0].getsockname()[1])


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def posted(upstreams: Upstreams, address: Address) -> bytes:
    async with upstreams.post(address, "/x", b"{}", {}) as connection:
        return await connection.read(limit_bytes=LIMIT)


async def pieces(*parts: bytes) -> AsyncGenerator[bytes]:
    for part in parts:
        yield part


def put(*headers: tuple[str, str]) -> Call:
    return Call("PUT", "/b/k", (("Host", "s3"), *headers))


def never() -> None:
    raise AssertionError("the server did not ask for the body")


@pytest.mark.parametrize("unix", [True, False])
async def test_one_connection_serves_calls_one_after_another(tmp_path: Path, unix: bool) -> None:
    opened = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        while await head_of(reader):
            await reader.readexactly(2)
            writer.write(OK)

    async with server(talk, tmp_path / "s" if unix else None) as address, Upstreams() as upstreams:
        assert [await posted(upstreams, address) for _ in range(5)] == [b"ok"] * 5
    assert opened == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_ends_at_once(status: int) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await head_of(reader):
            writer.write(b"HTTP/1.1 %d Nothing\r\n\r\n" % status)
            await reader.readexactly(2)

    async with asyncio.timeout(5), server(talk) as address, Upstreams() as upstreams:
        assert [await posted(upstreams, address) for _ in range(2)] == [b"", b""]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-6\r\nhello\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"\x16\x03\x01 no HTTP",
    ],
)
async def test_an_answer_that_is_none_means_that_the_replica_is_gone(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(answer)
        await writer.drain()

    async with asyncio.timeout(5), server(talk) as address, Upstreams() as upstreams:
        with pytest.raises(ReplicaGone):
            await posted(upstreams, address)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_call_on_a_closed_connection_means_that_the_replica_is_gone(
    run: Callable[[Coroutine[None, None, None]], None],
) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def call() -> None:
        lost = asyncio.Event()
        async with asyncio.timeout(5), server(talk) as address:
            connection = await connect(address, on_lost=lambda _: lost.set())
            await lost.wait()
            with pytest.raises(ReplicaGone):
                connection.begin("POST", b"POST / HTTP/1.1\r\n\r\n")
            closed_here = await connect(address)
            closed_here.close()
            with pytest.raises(ReplicaGone):
                closed_here.begin("POST", b"POST / HTTP/1.1\r\n\r\n")

    run(call())


async def test_a_server_that_does_not_listen_is_gone_and_one_that_soon_does_is_waited_for(
    tmp_path: Path,
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(OK)

    address = UnixSocket(str(tmp_path / "s"))
    with pytest.raises(ReplicaGone, match="unix:"):
        await connect(address)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(connect(address, wait_s=5))
        await asyncio.sleep(0)
        async with server(talk, tmp_path / "s"):
            (await waiting).close()


async def test_connections_that_a_server_closes_while_they_idle_are_forgotten() -> None:
    closing = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        await reader.readexactly(2)
        writer.write(OK)
        await closing.wait()

    async with asyncio.timeout(5), server(talk) as address, Upstreams() as upstreams:
        await posted(upstreams, address)
        assert upstreams.idle == 1
        closing.set()
        await until(lambda: not upstreams.idle)
        await posted(upstreams, address)


async def test_a_body_goes_up_while_the_answer_comes_down() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while line := await reader.readline():
            data = await reader.readexactly(int(line, 16) + 2)
            writer.write(line + data)
            if data == b"\r\n":
                return

    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def speech() -> AsyncGenerator[bytes]:
        yield b"one"
        assert await heard.get() == b"one"
        yield b"two"

    call = put(("Transfer-Encoding", "chunked"))
    found = []
    async with (
        asyncio.timeout(5),
        server(talk) as address,
        Upstreams() as upstreams,
        upstreams.stream(address, call, speech(), on_continue=never, wait_s=0) as connection,
    ):
        async for piece in connection.pieces():
            found.append(piece)
            heard.put_nowait(piece)
    assert found == [b"one", b"two"]


async def test_a_large_body_both_ways_is_held_back_by_whoever_is_slow() -> None:
    size, block = 64 * 1024 * 1024, b"x" * 256 * 1024
    taken = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        left = size
        while left:
            data = await reader.read(65536)
            left -= len(data)
            writer.write(data)
            await writer.drain()

    async def source() -> AsyncGenerator[bytes]:
        nonlocal taken
        while taken < size:
            taken += len(block)
            yield block

    call = put(("Content-Length", str(size)))
    async with asyncio.timeout(30), server(talk) as address, Upstreams() as upstreams:
        async with upstreams.stream(address, call, source(), on_continue=never, wait_s=0) as connection:
            before = -1
            while taken != before:  # nobody reads the answer: every buffer on the way fills
                before = taken
                await asyncio.sleep(0.1)
            assert taken < size / 2
            assert sum([len(piece) async for piece in connection.pieces()]) == size
        assert upstreams.idle == 1


async def test_a_body_that_is_held_back_goes_when_the_server_asks_for_it() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"Expect: 100-continue" in await head_of(reader)
        assert not asked
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await reader.readexactly(5) == b"hello"
        writer.write(OK)

    asked: list[bool] = []
    call = put(("Content-Length", "5"), ("Expect", "100-continue"))
    async with (
        asyncio.timeout(5),
        server(talk) as address,
        Upstreams() as upstreams,
        upstreams.stream(
            address, call, pieces(b"hello"), on_continue=lambda: asked.append(True), wait_s=0
        ) as connection,
    ):
        assert await connection.read(limit_bytes=LIMIT) == b"ok" and asked == [True]


async def test_a_server_that_refuses_before_the_body_is_heard() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")

    call = put(("Content-Length", "5"), ("Expect", "100-continue"))
    async with asyncio.timeout(5), server(talk) as address, Upstreams() as upstreams:
        async with upstreams.stream(
            address, call, pieces(b"hello"), on_continue=never, wait_s=0
        ) as connection:
            assert connection.head.status == 403 and await connection.read(limit_bytes=LIMIT) == b"no"
        assert upstreams.idle == 0  # the server may still wait for the body there


async def test_a_body_that_is_withheld_ends_the_connection() -> None:
    seen: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        try:
            seen.set_result(await reader.read())
        except ConnectionResetError:
            seen.set_result(b"reset")

    async def withheld() -> AsyncGenerator[bytes]:
        yield b"part"
        raise BodyWithheld

    async with asyncio.timeout(5), server(talk) as address, Upstreams() as upstreams:
        with pytest.raises(ReplicaGone):
            async with upstreams.stream(
                address, put(("Content-Length", "9")), withheld(), on_continue=never, wait_s=0
            ):
                pass
        assert await seen in (b"part", b"reset")


async def test_a_switched_connection_carries_bytes_both_ways() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await head_of(reader)
        assert b"Upgrade: echo" in head and b"GET /live HTTP/1.1" in head
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhello")
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write(b"bye")

    headers = [("Connection", "upgrade"), ("Upgrade", "echo")]
    async with asyncio.timeout(10), server(talk) as address, Upstreams() as upstreams:
        async with upstreams.switch(address, "/live", headers) as duplex:
            assert duplex.head.headers["upgrade"] == "echo"
            assert await duplex.reader.readexactly(5) == b"hello"
            block = bytes(range(256)) * 4096
            duplex.writer.write(block)
            await duplex.writer.drain()
            assert await duplex.reader.readexactly(len(block)) == block
            duplex.writer.write_eof()
            assert await duplex.reader.read() == b"bye"
        assert upstreams.idle == 0


async def test_a_server_that_does_not_switch_says_why() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 426 No\r\nContent-Length: 6\r\n\r\nbad id")

    async with asyncio.timeout(5), server(talk) as address, Upstreams() as upstreams:
        with pytest.raises(NotSwitched) as caught:
            async with upstreams.switch(address, "/live", [("Upgrade", "echo")]):
                pass
    assert (caught.value.head.status, caught.value.body) == (426, b"bad id")


async def test_leaving_a_switched_connection_ends_it() -> None:
    left = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        try:
            await reader.read()
        finally:
            left.set()

    async with asyncio.timeout(5), server(talk) as address, Upstreams() as upstreams:
        async with upstreams.switch(address, "/live", [("Upgrade", "echo")]):
            pass
        await left.wait()
