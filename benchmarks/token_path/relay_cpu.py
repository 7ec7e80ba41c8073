"""CPU that one chunk costs on its way through: the front door's relay beside a bare asyncio byte pump.

A scripted replica sends chunks as a model sends tokens, each a wake-up of its own; relay and pump (each a
process of its own, on the same event loop) read them over a Unix socket and send them on over TCP to a client
that only counts. What is compared is the CPU time of the two processes, kernel time included. The pump
forwards bytes; the relay parses HTTP chunks, frames each as an event stream part, and writes HTTP chunks.

    python -m benchmarks.token_path.relay_cpu
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import cast

import psutil
import uvloop
from aiohttp import web

from nearstream.core.accounts import Account
from nearstream.core.replicas import Replica, ReplicaSpec, ReplicaState, UnixSocket
from nearstream.fleet.pool import Lease, Pool
from nearstream.frontdoor.listener import listening
from nearstream.frontdoor.relay import Relay
from nearstream.frontdoor.upstream.client import Upstreams
from nearstream.services.runtime.invocations import Runtime
from nearstream.wire.aws import invocation

STREAMS = 8
CHUNKS = 400
GAP_S = 0.004
ROUNDS = 5
EVENT = (
    b'data: {"index":17,"token":{"id":1234,"text":" stream","logprob":-0.034,"special":false},'
    b'"generated_text":null,"details":null}\n\n'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
CALL = b"POST /endpoints/e/invocations-response-stream HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True, slots=True)
class Cost:
    """Median microseconds of CPU that one chunk cost in each process, and their ratio round by round."""

    relay_us: float
    pump_us: float
    ratio: float


async def serve_replica(path: str) -> None:
    """Answer every call with the same stream, paced."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await _call(reader):
            writer.write(HEAD)
            for _ in range(CHUNKS):
                writer.write(CHUNK)
                await asyncio.sleep(GAP_S)
            writer.write(b"0\r\n\r\n")

    server = await asyncio.start_unix_server(answer, path)
    await server.serve_forever()


async def _call(reader: asyncio.StreamReader) -> bytes:
    """One whole request, or b"" when there is none any more."""
    try:
        return await reader.readuntil(b"\r\n\r\n{}")
    except asyncio.IncompleteReadError:
        return b""


async def serve_pump(path: str, port: int) -> None:
    """Bytes there and back, nothing else."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = await _call(reader)
        if not call:
            return
        up_reader, up_writer = await asyncio.open_unix_connection(path)
        up_writer.write(call)
        while data := await up_reader.read(65536):
            writer.write(data)
            await writer.drain()
            if data.endswith(b"0\r\n\r\n"):
                break
        writer.close()
        up_writer.close()

    server = await asyncio.start_server(pump, "127.0.0.1", port)
    await server.serve_forever()


class _OneReplica:
    """A pool of one replica that is always there."""

    def __init__(self, path: str) -> None:
        spec = ReplicaSpec("e", "v", "c", "primary", "tgi", "3.3.6", "builtin", "builtin")
        self._replica = Replica("r", spec, ReplicaState.READY, UnixSocket(path), "", 0.0)

    @asynccontextmanager
    async def lease(self, *_: object, **__: object) -> AsyncGenerator[Lease]:
        yield Lease(self._replica)

    def mark_broken(self, replica_id: str) -> None:
        raise RuntimeError(replica_id)


async def serve_relay(path: str, port: int) -> None:
    """The front door's relay, without signatures."""
    async with Upstreams() as upstreams:
        pool = cast("Pool", _OneReplica(path))
        relay = Relay(pool, upstreams, Runtime(Account("1" * 12, "us-east-1")))

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            body = await request.read()
            call = invocation.parse(request.method, request.raw_path, request.headers)
            with relay.metrics.call("e") as timer:
                return await relay.stream(call, body, {}, request, timer)

        async with listening(handle, host="127.0.0.1", port=port):
            await asyncio.Event().wait()


async def drive(port: int) -> None:
    """STREAMS streams at once, read to their end."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(CALL)
        count, tail = 0, b""
        while not tail.endswith(b"0\r\n\r\n"):
            data = await reader.read(65536)
            if not data:
                break
            count += (tail + data).count(b"data: ")
            tail = (tail + data)[-5:]
        writer.close()
        if count < CHUNKS:
            raise RuntimeError(f"{count} of {CHUNKS} chunks came")

    async with asyncio.TaskGroup() as group:
        for _ in range(STREAMS):
            group.create_task(one())


async def measure() -> Cost:
    """Both in turn, ROUNDS times."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "r.sock")
        async with (
            _process("replica", path),
            _process("relay", path, "18041") as relay,
            _process("pump", path, "18042") as pump,
        ):
            await _listening(asyncio.open_unix_connection, path)
            for port in (18041, 18042):
                await _listening(asyncio.open_connection, "127.0.0.1", port)
                await drive(port)
            rounds = [(await _cpu_us(relay, 18041), await _cpu_us(pump, 18042)) for _ in range(ROUNDS)]
    relays, pumps = zip(*rounds, strict=True)
    return Cost(median(relays), median(pumps), median(ours / bare for ours, bare in rounds))


async def _cpu_us(process: psutil.Process, port: int) -> float:
    before = process.cpu_times()
    await drive(port)
    after = process.cpu_times()
    spent_s = after.user + after.system - before.user - before.system
    return float(spent_s) * 1e6 / (STREAMS * CHUNKS)


@asynccontextmanager
async def _process(*words: str) -> AsyncGenerator[psutil.Process]:
    started = await asyncio.create_subprocess_exec(sys.executable, "-m", __spec__.name, *words)
    try:
        yield psutil.Process(started.pid)
    finally:
        started.kill()
        await started.wait()


async def _listening(
    connect: Callable[..., Awaitable[tuple[object, asyncio.StreamWriter]]], *where: object
) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await connect(*where)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def main() -> None:
    """Play the part that the command line names, or measure."""
    match sys.argv[1:]:
        case ["replica", path]:
            uvloop.run(serve_replica(path))
        case ["relay", path, port]:
            uvloop.run(serve_relay(path, int(port)))
        case ["pump", path, port]:
            uvloop.run(serve_pump(path, int(port)))
        case _:
            cost = asyncio.run(measure())
            print(f"relay {cost.relay_us:.0f} µs, pump {cost.pump_us:.0f} µs a chunk, ratio {cost.ratio:.2f}")


if __name__ == "__main__":
    main()
