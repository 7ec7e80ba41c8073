"""A crowd at a model server on the built-in model: as many as it takes, one more, and slow readers."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from tests.support.ports import free_port
from tests.support.site import START_TIMEOUT_S
from tests.support.waiting import until

LIMIT = 128
SLOW = 12
PLACES = 8
TOKENS = 200
# Enough that neither the socket nor the server's buffer for a connection can hold the answer.
LONG = 700
MIB = 1 << 20
OVERLOADED = {"error": "Model is overloaded", "error_type": "overloaded"}
# So strong a taste for what was said before keeps the model from ending: an answer has the length asked for.
ENDLESS = {"frequency_penalty": -2.0}


@dataclass(frozen=True)
class Served:
    process: psutil.Process
    socket: Path
    session: aiohttp.ClientSession

    async def metrics(self) -> dict[str, float]:
        async with self.session.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        samples = (line.split() for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    async def until(self, condition: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        found: dict[str, float] = {}

        async def so() -> bool:
            found.update(await self.metrics())
            return condition(found)

        await until(so, within_s=50)
        return found

    async def events(self, number: int, tokens: int) -> list[dict[str, Any]]:
        """A stream read as it comes."""
        async with self.session.post("/generate_stream", json=generate(number, tokens)) as response:
            assert response.status == 200
            return [json.loads(line[5:]) async for line in response.content if line.startswith(b"data:")]


@asynccontextmanager
async def serving(folder: Path, **variables: str) -> AsyncIterator[Served]:
    port, path = free_port(), folder / "s"
    command = [sys.executable, "-m", "nearstream", "serve", "--port", str(port), "--uds", str(path)]
    environment = os.environ | {"NEARSTREAM_HOME": str(folder)} | variables
    connector = aiohttp.TCPConnector(limit=0)
    with (folder / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=environment)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector) as session:
            await until(lambda: ready(process, session), within_s=START_TIMEOUT_S)
            assert process.returncode is None, (folder / "log").read_text()
            yield Served(psutil.Process(process.pid), path, session)
    finally:
        process.kill()
        await process.wait()


async def ready(process: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> bool:
    """It serves, or has ended."""
    return process.returncode is not None or await healthy(session)


async def healthy(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/health") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


def generate(number: int, tokens: int) -> dict[str, Any]:
    parameters = {"max_new_tokens": tokens, **ENDLESS}
    return {"inputs": f"Question {number}: Tell me a story.", "parameters": parameters}


class SlowReader:
    """Asks for a long answer, as a chat with logprobs, and takes ten bytes at a time of it."""

    def __init__(self, path: Path, number: int) -> None:
        body = {
            "model": "tgi", "messages": [{"role": "user", "content": f"Question {number}: Tell me a story."}],
            "stream": True, "max_tokens": LONG, "temperature": 0, "logprobs": True, **ENDLESS,
        }  # fmt: skip
        data = json.dumps(body).encode()
        self._taken = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._socket.setblocking(False)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
        self._socket.sendall(head.encode() + data)

    def take(self) -> None:
        with suppress(BlockingIOError):
            self._taken += self._socket.recv(10)

    async def rest(self) -> bytes:
        loop = asyncio.get_running_loop()
        with self._socket:
            while not self._taken.endswith(b"\r\n0\r\n\r\n"):
                came = await loop.sock_recv(self._socket, 1 << 16)
                assert came, f"the answer was cut off: {self._taken[-200:]!r}"
                self._taken += came
        return self._taken


def busy(metrics: dict[str, float]) -> float:
    return metrics["tgi_batch_current_size"] + metrics["tgi_queue_size"]


async def test_128_clients_are_answered_at_once_and_one_more_is_refused(tmp_path: Path):
    async with serving(tmp_path) as server, asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(server.events(number, TOKENS)) for number in range(LIMIT)]
        await server.until(lambda found: busy(found) == LIMIT)
        async with server.session.post("/generate", json=generate(LIMIT, 1)) as refused:
            assert (refused.status, await refused.json()) == (429, OVERLOADED)
        assert await server.events(LIMIT, 1) == [OVERLOADED]  # TGI's streams tell of it inside, after a 200
        assert not any(answer.done() for answer in answers)
        told = await asyncio.gather(*answers)
        assert {len(events) for events in told} == {TOKENS}
        assert all(events[-1]["generated_text"] for events in told)
        # A call is counted once its handler has ended, which is after its client has the last byte.
        await server.until(lambda found: found["tgi_request_success"] == LIMIT)
        found = await server.metrics()
        assert found['tgi_request_failure{err="overloaded"}'] == 2
        assert await server.events(LIMIT, TOKENS) != [OVERLOADED]


async def test_slow_readers_hold_neither_the_batch_nor_memory_without_bound(tmp_path: Path):
    async with serving(tmp_path, MAX_BATCH_SIZE=str(PLACES)) as server:
        await server.events(0, TOKENS)
        before = server.process.memory_info().rss
        readers = [SlowReader(server.socket, number) for number in range(SLOW)]
        await server.until(lambda found: busy(found) == SLOW)

        def made(found: dict[str, float]) -> bool:
            for reader in readers:
                reader.take()
            return busy(found) == 0

        found = await server.until(made)
        assert found["tgi_request_success"] == 1, "the slow answers fit into the buffers: LONG is too short"
        # Twice what the last of them could hold: a socket's buffer, the server's, and the tokens made ahead.
        assert server.process.memory_info().rss - before < 2 * SLOW * MIB
        assert len(await server.events(SLOW, TOKENS)) == TOKENS
        for answer in await asyncio.gather(*(reader.rest() for reader in readers)):
            assert answer.count(b'"content":[{') == LONG
            assert answer.count(b"data: [DONE]") == 1
            assert b'"error"' not in answer
