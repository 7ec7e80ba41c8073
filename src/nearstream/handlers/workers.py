"""Serves a model whose handler is the user's own: its workers and the queue of its calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from nearstream.core.errors import HandlerFailed, Invalid, NotReady, Unusable
from nearstream.core.handlers import HandlerHead, HandlerInput
from nearstream.handlers.adapters import HandlerAdapters
from nearstream.handlers.calls import Call
from nearstream.handlers.confinement import Confinement, in_force
from nearstream.handlers.environment import environment_for
from nearstream.handlers.process import HandlerProcess
from nearstream.handlers.queue import CallQueue
from nearstream.handlers.settings import HandlerSettings
from nearstream.handlers.slot import Slot
from nearstream.tasks import alongside

_MS = 1000
_log = structlog.get_logger(__name__)


def _note(model: str, confinement: Confinement) -> None:
    """Say in the log which protection is in force. Raises Unusable where the work folder cannot be made."""
    try:
        confinement.prepare()
    except OSError as error:
        raise Unusable(f"the work folder of {model} cannot be made: {error}") from error
    if in_force():
        _log.info("handler confined", model=model, by="Landlock", work=str(confinement.work))
    else:
        _log.warning("handler not confined", model=model, because="this kernel has no Landlock")


class HandlerWorkers:
    """A Handler. Made by `open`, which also ends its processes."""

    def __init__(self, settings: HandlerSettings, python: Path, tasks: asyncio.TaskGroup) -> None:
        self.settings = settings
        self._python = python
        self._tasks = tasks
        self._keeping: dict[Slot, asyncio.Task[None]] = {}
        self._leaving: set[Slot] = set()
        self._deaths = 0
        self._closed = False
        self._queue = CallQueue(
            settings.model,
            capacity=settings.job_queue_size,
            batch_size=settings.batch_size,
            delay_s=settings.max_batch_delay_ms / _MS,
        )
        self.adapters: HandlerAdapters | None = None
        if settings.adapters is not None:
            self.adapters = HandlerAdapters(settings.model, settings.adapters, self._processes)
        self.min_workers = settings.min_workers
        self.max_workers = max(settings.max_workers, settings.min_workers, 1)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: HandlerSettings) -> AsyncIterator[HandlerWorkers]:
        """Install what the model needs, start its workers, and keep them until the block is left.

        Raises Unusable when the requirements cannot be installed or the handler does not load, saying why.
        """
        if settings.confinement is not None:
            _note(settings.model, settings.confinement)
        python = await environment_for(settings)
        async with alongside() as tasks:
            workers = cls(settings, python, tasks)
            try:
                await workers._start()
                yield workers
            finally:
                await workers.aclose()

    @property
    def running(self) -> Sequence[Slot]:
        """The workers, those that are being started too."""
        return tuple(self._keeping)

    @property
    def waiting(self) -> int:
        """Calls that wait for a worker."""
        return len(self._queue)

    async def healthy(self) -> bool:
        """See `Handler.healthy`; also False once its workers have died too often."""
        if self._deaths > self.settings.retry_threshold:
            return False
        return any(slot.ready for slot in self._keeping) or not self._keeping

    async def invoke(self, given: HandlerInput) -> AsyncGenerator[HandlerHead | bytes, None]:
        """See `Handler.invoke`."""
        self._refuse_unready()
        call, clock = Call(given), asyncio.get_running_loop().time
        self._queue.add(call, room=sum(slot.room for slot in self._keeping))
        self._grow()
        try:
            while (output := await call.next()) is not None:
                yield output
                if isinstance(output, bytes):
                    call.taken(clock())
        finally:
            self._leave(call)

    async def scale(self, min_workers: int, max_workers: int) -> None:
        """Have at least and at most so many workers from now on. Raises Invalid."""
        if not 0 <= min_workers <= max_workers or max_workers < 1:
            raise Invalid(
                f"min_worker is {min_workers} and max_worker {max_workers}; the first must not be above the "
                "second, which must be at least 1"
            )
        self.min_workers, self.max_workers = min_workers, max_workers
        while len(self._keeping) < min_workers:
            self._keep(self._slot(), started=False)

    async def aclose(self) -> None:
        """End the workers; calls that wait or run fail."""
        self._closed = True
        for task in self._keeping.values():
            task.cancel()
        async with asyncio.TaskGroup() as ends:
            for slot in tuple(self._keeping):
                ends.create_task(slot.close())
        self._queue.fail(lambda: HandlerFailed("the model is being unloaded"))

    def may_end(self, slot: Slot, idle_s: float) -> bool:
        """See `WorkerGroup`."""
        there = len(self._keeping) - len(self._leaving)
        idle = there > self.min_workers and idle_s > self.settings.max_idle_time_s
        if idle or there > self.max_workers:
            self._leaving.add(slot)
            return True
        return False

    def failed(self, slot: Slot) -> None:
        """See `WorkerGroup`. Calls need not wait where no worker is there."""
        if not any(one.ready for one in self._keeping):
            self._queue.fail(lambda: self._unready(slot.failure))

    async def prepare(self, process: HandlerProcess) -> None:
        """See `WorkerGroup`."""
        if self.adapters is not None:
            await self.adapters.prepare(process)

    def died(self) -> None:
        """See `WorkerGroup`."""
        self._deaths += 1

    async def _start(self) -> None:
        slots = [self._slot() for _ in range(max(self.min_workers, 1))]
        try:
            async with alongside() as starts:
                for slot in slots:
                    starts.create_task(slot.start())
        except BaseException:
            for slot in slots:
                await slot.close()
            raise
        for slot in slots:
            self._keep(slot, started=True)

    def _processes(self) -> list[HandlerProcess]:
        return [slot.process for slot in self._keeping if slot.process is not None]

    def _slot(self) -> Slot:
        return Slot(self.settings, self._python, self._queue, self)

    def _keep(self, slot: Slot, *, started: bool) -> None:
        def gone(_: asyncio.Task[None]) -> None:
            del self._keeping[slot]
            self._leaving.discard(slot)

        self._keeping[slot] = self._tasks.create_task(slot.keep(started=started))
        self._keeping[slot].add_done_callback(gone)

    def _grow(self) -> None:
        """Another worker, where calls wait that no worker is free for, and none is being started."""
        there = self._keeping.keys() - self._leaving
        free = sum(slot.room for slot in there)
        if len(self._queue) > free and len(there) < self.max_workers and all(slot.ready for slot in there):
            self._keep(self._slot(), started=False)

    def _refuse_unready(self) -> None:
        """Raises NotReady where the last starts failed and no worker is there, or none will be."""
        if self._closed:
            raise self._unready("it is being unloaded")
        slots = self._keeping
        failures = [slot.failure for slot in slots if slot.failure is not None]
        if failures and not any(slot.ready for slot in slots):
            raise self._unready(failures[0])

    def _unready(self, reason: str | None) -> NotReady:
        return NotReady(f"Model is not ready: {self.settings.model}: {reason}")

    def _leave(self, call: Call) -> None:
        call.left = True
        if not self._queue.remove(call) and not call.ended:
            for slot in self._keeping:
                slot.holds(call)
