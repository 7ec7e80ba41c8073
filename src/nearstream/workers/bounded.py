"""Work that a request can make grow, in a process of its own with bounds on time and memory.

Calls are answered one at a time, in order. One that oversteps ends the process; the next call gets a new one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from nearstream.core.errors import NotReady, Overloaded
from nearstream.tasks import alongside
from nearstream.workers.frames import framed
from nearstream.workers.inside import OUT_OF_MEMORY, OUT_OF_TIME
from nearstream.workers.process import Exit, Program, WorkerProcess

MAX_WAITING: Final = 4096
_CLOSED: Final = "the server is shutting down"

_log = structlog.get_logger(__name__)


class Overstepped(Exception):
    """A call took more time or memory than it may, or ended its process. The text says which, as a clause."""


class _Killed(Overstepped):
    """The process ended, and not by a limit of ours: somebody else may have ended it."""


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """What one call may take; `memory_bytes` is of the process's address space.

    `time_s` counts on the wall; `processor_s` is the time that a processor works on the call.
    """

    time_s: float
    memory_bytes: int
    processor_s: float | None = None
    start_s: float = 30.0
    """How long the process may take to start and to answer its first call."""
    max_waiting: int = MAX_WAITING


@dataclass(frozen=True, slots=True)
class _Call:
    body: bytes
    answer: asyncio.Future[bytes]


class BoundedWorker:
    """Made by `bounded_worker` or `bounded_worker_on_demand`."""

    def __init__(self, module: str, setup: bytes, limits: WorkLimits) -> None:
        bounds = str(limits.memory_bytes), str(limits.processor_s or 0)
        self._program = Program((sys.executable, "-P", "-m", module, *bounds), end_wait_s=1.0)
        self._module = module
        self._setup = setup
        self._limits = limits
        self._calls: asyncio.Queue[_Call] = asyncio.Queue(limits.max_waiting)
        self._process: _Process | None = None
        self._current: _Call | None = None
        self._closed = False

    async def call(self, body: bytes) -> bytes:
        """What the worker answers. Raises Overstepped, and Overloaded where too many calls wait."""
        return await self.submit(body)

    def submit(self, body: bytes) -> asyncio.Future[bytes]:
        """A call whose answer several can wait for; as `call`. Cancelling it drops it from the queue."""
        if self._closed:
            raise NotReady(_CLOSED)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        try:
            self._calls.put_nowait(_Call(body, answer))
        except asyncio.QueueFull:
            raise Overloaded(f"{self._calls.maxsize} calls wait for {self._module}") from None
        return answer

    async def start(self) -> bytes:
        """Start the process; what it answers to `setup`. Raises Overstepped, and OSError as it is started."""
        process = _Process(self._program)
        try:
            async with asyncio.timeout(self._limits.start_s):
                greeting = await process.ask(self._setup)
        except BaseException as error:
            await process.kill("its first call took too long")
            if isinstance(error, TimeoutError):
                raise Overstepped(f"it was not ready within {self._limits.start_s:g} s") from None
            raise
        self._process = process
        return greeting

    async def serve(self) -> None:
        """Answer calls until cancelled."""
        while True:
            self._current = await self._calls.get()
            if not self._current.answer.done():  # else nobody waits for it any more
                await self._serve(self._current)
            self._current = None

    async def close(self) -> None:
        """End the process, once `serve` has ended; calls that are left fail with NotReady."""
        self._closed = True
        left = [self._current] if self._current else []
        left += [self._calls.get_nowait() for _ in range(self._calls.qsize())]
        for call in left:
            if not call.answer.done():
                call.answer.set_exception(NotReady(_CLOSED))
        if self._process is not None:
            await self._process.end()

    async def _serve(self, call: _Call) -> None:
        try:
            answer = await self._answered(call.body)
        except Overstepped as error:
            _log.warning("worker overstepped", worker=self._module, reason=str(error))
            failure: Exception = error
        except OSError as error:
            _log.warning("worker not started", worker=self._module, reason=str(error))
            failure = Overloaded(f"no process could be started for {self._module}: {error.strerror}")
        else:
            if not call.answer.done():
                call.answer.set_result(answer)
            return
        if not call.answer.done():
            call.answer.set_exception(failure)

    async def _answered(self, body: bytes, *, again: bool = False) -> bytes:
        process = self._process
        if process is None or process.gone:
            await self.start()
            process = self._process
        assert process is not None  # noqa: S101 - for the type checker: start() has set it
        try:
            async with asyncio.timeout(self._limits.time_s):
                return await process.ask(body)
        except _Killed:
            # It may have been ended before the call reached it, as the system does where memory is short.
            if again:
                raise
            return await self._answered(body, again=True)
        except TimeoutError:
            await process.kill("a call took too long")
            raise Overstepped(f"it takes longer than {self._limits.time_s:g} s") from None


class _Process:
    """One process of the worker: a question, then its answer."""

    def __init__(self, program: Program) -> None:
        self._worker = WorkerProcess(program, self, bytes)
        self._processor_s = program.command[-1]
        self._started = False
        self._answer: asyncio.Future[bytes] | None = None

    @property
    def gone(self) -> bool:
        return self._worker.gone

    async def ask(self, body: bytes) -> bytes:
        """Raises Overstepped where the process ends instead."""
        if not self._started:
            await self._worker.start()
            self._started = True
        if self._worker.gone:
            raise _Killed("its process ended")
        self._answer = asyncio.get_running_loop().create_future()
        self._worker.send(framed(body))
        return await self._answer

    async def kill(self, why: str) -> None:
        if self._started:
            self._worker.kill(why)
            await self._worker.ended()

    async def end(self) -> None:
        await self._worker.end()

    def received(self, frame: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(frame)

    def printed(self, stream: str, line: str) -> None:
        _log.warning("worker printed", stream=stream, line=line)

    def disconnected(self) -> None:
        pass

    def ended(self, end: Exit) -> None:
        if self._answer is not None and not self._answer.done():
            reasons = {
                OUT_OF_MEMORY: "it takes too much memory",
                OUT_OF_TIME: f"it takes longer than {self._processor_s} s of a processor's time",
            }
            reason = reasons.get(end.status)
            failure = _Killed(f"its process {end.how}") if reason is None else Overstepped(reason)
            self._answer.set_exception(failure)


@asynccontextmanager
async def bounded_worker(
    module: str, setup: bytes, limits: WorkLimits
) -> AsyncIterator[tuple[BoundedWorker, bytes]]:
    """A worker that runs `module`, and its answer to `setup`, which each of its processes gets as first call.

    `module` calls `run_bounded`. Raises Overstepped when the process does not start, or its setup oversteps.
    """
    async with _serving(BoundedWorker(module, setup, limits)) as worker:
        greeting = await worker.start()
        yield worker, greeting


@asynccontextmanager
async def bounded_worker_on_demand(module: str, limits: WorkLimits) -> AsyncIterator[BoundedWorker]:
    """As `bounded_worker`, but its process is started by the first call, and `setup` is empty."""
    async with _serving(BoundedWorker(module, b"", limits)) as worker:
        yield worker


@asynccontextmanager
async def _serving(worker: BoundedWorker) -> AsyncIterator[BoundedWorker]:
    try:
        async with alongside(worker.serve()):
            yield worker
    finally:
        await worker.close()
