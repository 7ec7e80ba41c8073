"""Bodies that no proven caller sent: what they cost, and how they are refused."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from tests.contract.frontdoor.test_relay import HEAD, KEYS, Stand, chunk, stand

from nearstream.frontdoor import access as access_module
from nearstream.frontdoor.access import BodyBudget

MEBIBYTE = 1024 * 1024
BODY = bytes(24 * MEBIBYTE)


async def answer_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + chunk(b"{}") + b"0\r\n\r\n")


@asynccontextmanager
async def sending(made: Stand, head: bytes) -> AsyncIterator[socket.socket]:
    """A call whose body is pushed as fast as the door takes it, while the block runs."""
    port = int(made.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(raw, head)
        task = asyncio.ensure_future(loop.sock_sendall(raw, BODY))
        try:
            yield raw
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def head(made: Stand, size: int = len(BODY), *, signature: str = "0" * 64) -> bytes:
    """A head with the site's key id and a signature that anyone can write."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return (
        f"POST /endpoints/e/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
        f"X-Amz-Date: {now}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={KEYS.access_key}/{now[:8]}/{KEYS.region}/sagemaker/"
        f"aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}\r\n\r\n"
    ).encode()


async def answered(raw: socket.socket) -> bytes:
    """The answer's head and JSON body."""
    data, loop = b"", asyncio.get_running_loop()
    while not data.endswith(b"}"):
        piece = await loop.sock_recv(raw, 65536)
        assert piece, data
        data += piece
    return data


async def test_sixty_held_unsigned_bodies_cost_little_and_are_refused_before_they_are_read(
    tmp_path: Path,
) -> None:
    unsigned = f"POST /endpoints/e/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
    async with asyncio.timeout(60), stand(tmp_path, answer_nothing) as made:
        before = psutil.Process().memory_info().rss
        async with asyncio.TaskGroup() as group, held(made, unsigned.encode(), 60) as sockets:
            answers = [group.create_task(answered(raw)) for raw in sockets]
            for answer in answers:
                assert b"MissingAuthenticationToken" in await answer
            assert psutil.Process().memory_info().rss - before < 50 * MEBIBYTE


@asynccontextmanager
async def held(made: Stand, start: bytes, count: int) -> AsyncIterator[list[socket.socket]]:
    async with asyncio.TaskGroup() as group:
        done = asyncio.Event()
        sockets: list[socket.socket] = []
        ready = asyncio.Semaphore(0)

        async def one() -> None:
            async with sending(made, start) as raw:
                sockets.append(raw)
                ready.release()
                await done.wait()

        for _ in range(count):
            group.create_task(one())
        for _ in range(count):
            await ready.acquire()
        try:
            yield sockets
        finally:
            done.set()


async def test_a_body_whose_key_scope_or_date_is_wrong_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with asyncio.timeout(30), stand(tmp_path, answer_nothing) as made:
        good = head(made)
        year = str(datetime.now(UTC).year).encode()
        for wrong in (
            good.replace(b"AKIATEST", b"AKIAELSE"),
            good.replace(b"us-east-1", b"us-east-2"),
            good.replace(year, b"2001"),
        ):
            async with sending(made, wrong.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")) as raw:
                told = await answered(raw)
            assert told.startswith(b"HTTP/1.1 403"), told


async def test_forged_bodies_share_a_budget_and_what_is_over_it_is_throttled(tmp_path: Path) -> None:
    budget = BodyBudget(unproven_bytes=2 * MEBIBYTE)
    async with asyncio.timeout(30), stand(tmp_path, answer_nothing, budget=budget) as made:
        before = psutil.Process().memory_info().rss
        async with held(made, head(made), 20) as sockets:
            told = await asyncio.gather(*map(answered, sockets))
        assert all(b" 429 " in one and b"x-amzn-ErrorType: ThrottlingException" in one for one in told)
        assert psutil.Process().memory_info().rss - before < 50 * MEBIBYTE
        assert budget.unproven.used_bytes == 0
        assert await made.parts() == [b"{}"]
        assert budget.held.used_bytes == 0


async def test_a_body_that_never_comes_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "BODY_TIMEOUT_S", 0.05)
    async with asyncio.timeout(30), stand(tmp_path, answer_nothing) as made:
        port = int(made.url.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(made, 10) + b"12345")
        told = await reader.readuntil(b"}")
        writer.close()
    assert told.startswith(b"HTTP/1.1 408") and b"5 bytes came" in told


async def test_a_body_in_many_pieces_is_proven_whole(tmp_path: Path) -> None:
    got: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readexactly(3 * MEBIBYTE))
        await answer_nothing(reader, writer)

    async with asyncio.timeout(30), stand(tmp_path, talk) as made:
        await made.parts(b"x" * 3 * MEBIBYTE)
    assert hashlib.sha256(got[0]).hexdigest() == hashlib.sha256(b"x" * 3 * MEBIBYTE).hexdigest()
