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

from nearstream.core.errors import Overloaded
from nearstream.tasks import alongside
from nearstream.workers.frames import framed
from nearstream.workers.inside import OUT_OF_MEMORY
from nearstream.workers.process import Exit, Program, WorkerProcess

MAX_WAITING: Final = 4096

_log = structlog.get_logger(__name__)


class Overstepped(Exception):
    """A call took more time or memory than it may, or ended its process. The text says which."""


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """What one call may take; `memory_bytes` is of the process's address space."""

    time_s: float
    memory_bytes: int
    start_s: float = 30.0
    """How long the process may take to start and to answer its first call."""


@dataclass(frozen=True, slots=True)
class _Call:
    body: bytes
    answer: asyncio.Future[bytes]


class BoundedWorker:
    """Made by `bounded_worker`."""

    def __init__(self, module: str, setup: bytes, limits: WorkLimits) -> None:
        command = (sys.executable, "-P", "-m", module, str(limits.memory_bytes))
        self._program = Program(command, end_wait_s=1.0)
        self._module = module
        self._setup = setup
        self._limits = limits
        self._calls: asyncio.Queue[_Call] = asyncio.Queue(MAX_WAITING)
        self._process: _Process | None = None

    async def call(self, body: bytes) -> bytes:
        """What the worker answers. Raises Overstepped, and Overloaded where too many calls wait."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        try:
            self._calls.put_nowait(_Call(body, answer))
        except asyncio.QueueFull:
            raise Overloaded(f"{MAX_WAITING} calls wait for {self._module}") from None
        return await answer

    async def start(self) -> bytes:
        """Start the process; what it answers to `setup`. Raises Overstepped."""
        process = _Process(self._program)
        try:
            async with asyncio.timeout(self._limits.start_s):
                greeting = await process.ask(self._setup)
        except BaseException as error:
            await process.kill("its first call took too long")
            if isinstance(error, TimeoutError):
                raise Overstepped(f"not ready within {self._limits.start_s:g} s") from None
            raise
        self._process = process
        return greeting

    async def serve(self) -> None:
        """Answer calls until cancelled."""
        while True:
            call = await self._calls.get()
            if call.answer.done():
                continue  # nobody waits for it any more
            try:
                answer = await self._answered(call.body)
            except Overstepped as error:
                _log.warning("worker overstepped", module=self._module, reason=str(error))
                if not call.answer.done():
                    call.answer.set_exception(error)
            else:
                if not call.answer.done():
                    call.answer.set_result(answer)

    async def close(self) -> None:
        """End the process."""
        if self._process is not None:
            await self._process.end()

    async def _answered(self, body: bytes) -> bytes:
        if self._process is None or self._process.gone:
            await self.start()
        process = self._process
        assert process is not None  # noqa: S101 - for the type checker: start() has set it
        try:
            async with asyncio.timeout(self._limits.time_s):
                return await process.ask(body)
        except TimeoutError:
            await process.kill("a call took too long")
            raise Overstepped(f"longer than {self._limits.time_s:g} s") from None


class _Process:
    """One process of the worker: a question, then its answer."""

    def __init__(self, program: Program) -> None:
        self._worker = WorkerProcess(program, self, bytes)
        self._started = False
        self._answer: asyncio.Future[bytes] | None = None

    @property
    def gone(self) -> bool:
        return self._worker.gone

    async def ask(self, body: bytes) -> bytes:
        """Raises Overstepped where the process ends instead."""
        if not self._started:
            self._started = True
            await self._worker.start()
        if self._worker.gone:
            raise Overstepped("its process ended")
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
            memory = end.status == OUT_OF_MEMORY
            self._answer.set_exception(Overstepped("too much memory" if memory else f"its process {end.how}"))


@asynccontextmanager
async def bounded_worker(
    module: str, setup: bytes, limits: WorkLimits
) -> AsyncIterator[tuple[BoundedWorker, bytes]]:
    """A worker that runs `module`, and its answer to `setup`, which each of its processes gets as first call.

    `module` calls `run_bounded`. Raises Overstepped when the process does not start, or its setup oversteps.
    """
    worker = BoundedWorker(module, setup, limits)
    greeting = await worker.start()
    try:
        async with alongside(worker.serve()):
            yield worker, greeting
    finally:
        await worker.close()
