"""One worker: gives its process calls from the queue, watches their time limits, restarts it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import structlog

from nearstream.core.errors import HandlerFailed, Unusable
from nearstream.handlers.calls import Call
from nearstream.handlers.process import HandlerProcess
from nearstream.handlers.queue import CallQueue
from nearstream.handlers.settings import HandlerSettings

_STEADY_S = 60.0
_PATIENCE_S = 1.0
_CANCEL_S = 1.0
"""An async handler that has not stopped so long after its call was cancelled never will."""

_log = structlog.get_logger(__name__)


class WorkerGroup(Protocol):
    """The workers of one model."""

    async def prepare(self, process: HandlerProcess) -> None:
        """Do what is to be done before its first call. Raises Unusable."""
        ...

    def may_end(self, slot: Slot, idle_s: float) -> bool:
        """Whether this worker, idle for so long, is to be ended."""
        ...

    def failed(self, slot: Slot) -> None:
        """This worker cannot be started."""
        ...

    def died(self) -> None:
        """A worker ended unexpectedly."""
        ...


class Slot:
    """One worker of a model, restarted when its process ends."""

    def __init__(self, settings: HandlerSettings, python: Path, queue: CallQueue, group: WorkerGroup) -> None:
        self._settings = settings
        self._python = python
        self._queue = queue
        self._group = group
        self._process: HandlerProcess | None = None
        self._clock = asyncio.get_running_loop().time
        self._trusted = asyncio.Event()
        """Not set while it is unknown whether the process still answers."""
        self._trusted.set()
        self.failure: str | None = None
        """Why the last start failed; None once one has not."""

    @property
    def ready(self) -> bool:
        """Whether its process is loaded and there."""
        return self._process is not None and self._process.ready

    @property
    def process(self) -> HandlerProcess | None:
        """The process that answers, if one does."""
        return self._process if self.ready else None

    @property
    def started_at(self) -> float:
        """When its process started, seconds since the epoch; 0 while there is none."""
        return self._process.started_at if self._process else 0.0

    @property
    def pid(self) -> int | None:
        """Its process, None while there is none."""
        return self._process.pid if self._process else None

    @property
    def room(self) -> int:
        """How many calls it could take at once now."""
        process = self._process
        if process is None or not process.ready:
            return 0
        return max(self._places(process) * self._settings.batch_size - process.busy, 0)

    def holds(self, call: Call) -> None:
        """Tell the process, if it has the call, that the reader has left."""
        if self._process is not None:
            self._process.cancel(call)

    async def start(self) -> None:
        """Start a process and wait until it has loaded. Raises Unusable with the reason."""
        began = self._clock()
        self._process = process = await HandlerProcess.start(
            self._settings, self._python, self._queue.put_back
        )
        try:
            await process.loaded()
            await self._group.prepare(process)
        except BaseException as error:
            self.failure = str(error)
            process.kill("it did not load")
            await process.exit_reason()
            raise
        self.failure = None
        self._trusted.set()
        load_s = round(self._clock() - began, 3)
        _log.info(
            "handler ready", model=self._settings.model, pid=process.pid, load_s=load_s, calls=process.calls
        )

    async def keep(self, *, started: bool) -> None:
        """Keep a process that answers calls, until it is surplus. `started`: there is one."""
        delay_s = self._settings.restart_delay_s
        while True:
            if not started:
                started = await self._started()
            if started and (process := self._process) is not None:
                began = self._clock()
                if await self._served(process):
                    return
                started = False
                self._group.died()
                if self._clock() - began > _STEADY_S:
                    delay_s = self._settings.restart_delay_s
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, self._settings.max_restart_delay_s)

    async def close(self) -> None:
        """End the process; its calls fail."""
        if self._process is not None:
            await self._process.end()

    async def _started(self) -> bool:
        try:
            await self.start()
        except Unusable as error:
            _log.error("handler cannot be started", model=self._settings.model, reason=str(error))
            self._group.failed(self)
            return False
        return True

    async def _served(self, process: HandlerProcess) -> bool:
        """Feed a process until it ends, or is surplus: True."""
        async with asyncio.TaskGroup() as tasks:
            feeding = tasks.create_task(self._feed(process, tasks))
            ending = tasks.create_task(process.exit_reason())
            await asyncio.wait({feeding, ending}, return_when=asyncio.FIRST_COMPLETED)
            retired = not ending.done()
            feeding.cancel()
            if retired:
                await process.end()
        log = _log.info if retired else _log.error
        log("handler ended", model=self._settings.model, pid=process.pid, reason=ending.result())
        return retired

    async def _feed(self, process: HandlerProcess, tasks: asyncio.TaskGroup) -> None:
        """Hand over queued calls, as many at once as the process takes; returns when it is surplus."""
        places = asyncio.Semaphore(self._places(process))
        idle_since = self._clock()
        while True:
            await places.acquire()
            calls = await self._queue.take(patience_s=_PATIENCE_S)
            if calls:
                await self._trust(calls)
                tasks.create_task(self._watch(process, calls)).add_done_callback(lambda _: places.release())
            else:
                places.release()
            if calls or process.busy:
                idle_since = self._clock()
            elif self._group.may_end(self, self._clock() - idle_since):
                return

    def _places(self, process: HandlerProcess) -> int:
        return self._settings.concurrent_calls if process.calls is None else process.calls

    async def _trust(self, calls: Sequence[Call]) -> None:
        """Wait until the process can be given calls; if it never can, they are queued again."""
        try:
            await self._trusted.wait()
        except asyncio.CancelledError:
            self._queue.put_back(calls)
            raise

    async def _watch(self, process: HandlerProcess, calls: Sequence[Call]) -> None:
        """Hand over calls that go together, and wait until the process is done with them."""
        changed = asyncio.Event()
        for call in calls:
            call.changed = changed
        if not process.submit(calls):
            self._queue.put_back(calls)
            await process.exit_reason()
            return
        settings = self._settings
        limits = {"predict_s": settings.predict_timeout_s, "stream_s": settings.stream_timeout_s}
        while not process.gone and (live := [call for call in calls if not call.ended]):
            changed.clear()
            now = self._clock()
            overdue = [call for call in live if call.due(now, **limits) <= now]
            if overdue:
                await self._expire(process, overdue)
            else:
                await _set_within(changed, min(call.due(now, **limits) for call in live) - now)

    async def _expire(self, process: HandlerProcess, overdue: Sequence[Call]) -> None:
        """End calls that took too long, and the process, too, unless it lets go of them at once."""
        settings = self._settings
        for call in overdue:
            if call.begun:
                limit_s, limit = settings.stream_timeout_s, "chunked_read_timeout"
                what = f"{limit}: the handler gave nothing more within {limit_s:g} s"
            else:
                limit_s, limit = settings.predict_timeout_s, "option.predict_timeout"
                what = f"predict timeout: the handler did not answer within {limit_s:g} s ({limit})"
            call.conclude(HandlerFailed(what))
            _log.error(
                "handler timed out", model=settings.model, pid=process.pid, limit=limit, limit_s=limit_s
            )
        if process.calls != 1 and await self._let_go(process, overdue):
            return
        process.kill("it took too long over a call")
        await process.exit_reason()

    async def _let_go(self, process: HandlerProcess, calls: Sequence[Call]) -> bool:
        """Cancel calls; whether the process ends them soon."""
        until = self._clock() + _CANCEL_S
        self._trusted.clear()
        for call in calls:
            process.cancel(call)
        while live := [call for call in calls if not call.ended]:
            live[0].changed.clear()
            if not await _set_within(live[0].changed, until - self._clock()):
                return False
        self._trusted.set()
        return True


async def _set_within(event: asyncio.Event, wait_s: float) -> bool:
    try:
        async with asyncio.timeout(wait_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
