"""Serves an async `handle`: several calls at once on one event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

from ..outputs import Output
from .answers import checked, chunks_of, input_of, part_of
from .calls import END_OF_ITEMS, Batch, Call, next_of
from .channel import Channel
from .frames import CALL, CANCEL, CREDIT, Frame, decode_call, decode_credit
from .loading import Model, print_failure


class Running:
    """A batch, the task that answers it, and what tells that task of a change."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.output: Output | None = None


class Concurrent:
    """Frames come in the channel's thread and are taken on the loop."""

    def __init__(self, model: Model, common: dict[str, Any], channel: Channel) -> None:
        self._model = model
        self._common = common
        self._channel = channel
        self._running: dict[int, Running] = {}
        self._calls: dict[int, Call] = {}
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()

    def take(self, frame: Frame) -> None:
        """A frame has come, in another thread."""
        self._loop.call_soon_threadsafe(self._taken, frame)

    def stop(self) -> None:
        """No more frames will come; called in another thread."""
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def load(self, inputs: Any) -> Any:
        """The first call, with the empty Input."""
        result = self._model.handle(inputs)
        if hasattr(result, "__aiter__"):
            return [part async for part in result] and None
        return await result if inspect.isawaitable(result) else result

    async def serve(self) -> None:
        """Answer calls until `stop`; those that run are cancelled then."""
        await self._stopped.wait()
        for running in set(self._running.values()):
            if running.task is not None:
                running.task.cancel()

    def _taken(self, frame: Frame) -> None:
        if frame.kind == CALL:
            running = Running(Batch(*decode_call(frame.load), self._channel))
            self._running.update({call.id: running for call in running.batch.calls})
            self._calls.update({call.id: call for call in running.batch.calls})
            running.task = self._loop.create_task(self._run(running))
            # Not in the task itself: one that is cancelled before its first step never runs.
            running.task.add_done_callback(lambda _: self._end(running))
        elif frame.call in self._calls:
            self._told(frame, self._calls[frame.call], self._running[frame.call])

    def _told(self, frame: Frame, call: Call, running: Running) -> None:
        if frame.kind == CREDIT:
            call.credit += decode_credit(frame.load)
        elif frame.kind == CANCEL:
            call.cancelled = True
            if running.batch.abandoned and running.task is not None:
                running.task.cancel()
        running.changed.set()

    async def _run(self, running: Running) -> None:
        batch = running.batch
        batch.start()
        try:
            function = self._model.named(batch.function)
            result = function(input_of(batch.members, batch.function or self._model.name, self._common))
            if inspect.isawaitable(result):
                result = await result
            if hasattr(result, "__aiter__"):
                await self._parts(running, result)
            else:
                running.output = checked(result)
                await self._answer(running, running.output)
        except asyncio.CancelledError:
            if not batch.abandoned:
                batch.fail(RuntimeError("the handler cancelled its own task"))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's code raises is told
            batch.fail(error)

    def _end(self, running: Running) -> None:
        for call in running.batch.calls:
            del self._running[call.id], self._calls[call.id]
        running.batch.end(running.output)

    async def _answer(self, running: Running, output: Output) -> None:
        if output.stream_content is None:
            running.batch.answer(output)
            return
        batch, stream = running.batch, output.stream_content
        items = stream if hasattr(stream, "__aiter__") else _threaded(stream)
        try:
            while await _may_go_on(running):
                item = await next_of(items)
                if item is END_OF_ITEMS:
                    batch.go_on(output)
                    return
                batch.go_on(output, chunks_of(output, item, len(batch.calls)))
        finally:
            await _close(items)

    async def _parts(self, running: Running, parts: Any) -> None:
        """An async generator of Outputs, each a part of one answer; the first has its head."""
        batch = running.batch
        try:
            while await _may_go_on(running):
                part = await next_of(parts)
                if part is END_OF_ITEMS:
                    return
                if not isinstance(part, Output):
                    raise TypeError(f"an async handler's generator gives Outputs, not {type(part).__name__}")
                made = part_of(part)
                if made.error is not None and not batch.calls[0].begun:
                    batch.answer(made.failure())
                    return
                batch.go_on(part, [made.data] * len(batch.calls))
                if made.error is not None:
                    batch.break_off(made.error)
                if made.last or made.error is not None:
                    return
        finally:
            await _close(parts)


async def _may_go_on(running: Running) -> bool:
    """Wait until every reader has room for a chunk; False when none is left."""
    while running.batch.paused:
        running.changed.clear()
        await running.changed.wait()
    return not running.batch.abandoned


async def _close(items: Any) -> None:
    """End a generator that may not have come to its end, so that its `finally` runs now."""
    try:
        if hasattr(items, "aclose"):
            await items.aclose()
    except Exception as error:  # noqa: BLE001 - a user's clean-up; the answer is over
        print_failure(error)


async def _threaded(stream: Any) -> AsyncIterator[Any]:
    """The items of a plain iterable, each made in a thread, so that other calls go on meanwhile."""
    items, loop = iter(stream), asyncio.get_running_loop()
    pending: asyncio.Future[Any] | None = None
    try:
        while True:
            pending = loop.run_in_executor(None, next, items, END_OF_ITEMS)
            item = await asyncio.shield(pending)
            if item is END_OF_ITEMS:
                return
            yield item
    finally:
        if pending is not None and not pending.done():
            # It cannot be closed while its thread is in it.
            await asyncio.wait([pending])
        if hasattr(items, "close"):
            items.close()
