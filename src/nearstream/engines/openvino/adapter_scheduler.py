"""Schedules the worker's requests: the base model's batch, and pipelines in which adapters take turns.

OpenVINO runs one adapter in one pipeline at a time, so a request with an adapter needs an adapter pipeline
in which it is active. A pipeline changes its adapter in milliseconds, but only while it is empty. Requests
with adapters stand in one queue: while the first of them finds no pipeline, none behind it enters one, so
every turn ends; when a pipeline changes, all that wait for its new adapter enter with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

from nearstream.engines.openvino.frames import (
    AdapterTried,
    Advance,
    Cancel,
    DropAdapter,
    Failure,
    FromWorker,
    LoadAdapter,
    Stepped,
    Submit,
    ToWorker,
)

Adapter = Any
"""OpenVINO's own, which only the pipeline knows."""
_OPENING_POLL_S = 0.005


class Batch(Protocol):
    """The requests of one pipeline."""

    @property
    def busy(self) -> bool: ...

    def submit(self, frame: Submit) -> None: ...

    def cancel(self, request_id: int) -> None: ...

    def step(self) -> Stepped: ...


class AdapterBatch(Batch, Protocol):
    """A pipeline in which an adapter can be active."""

    def activate(self, adapter: Adapter) -> None: ...


class AdapterPipeline:
    """A pipeline and the number of its active adapter, 0 for none."""

    def __init__(self, batch: AdapterBatch) -> None:
        self.batch = batch
        self.active = 0


class AdapterScheduler:
    """The base model and at most `most` adapter pipelines, which are opened beside the running batches."""

    def __init__(
        self,
        base: Batch,
        open_adapter_pipeline: Callable[[], AdapterBatch],
        read_adapter: Callable[[str], Adapter],
        *,
        most: int,
    ) -> None:
        self._base = base
        self._open_pipeline = open_adapter_pipeline
        self._read_adapter = read_adapter
        self._most = most
        self._pipelines: list[AdapterPipeline] = []
        self._adapters: dict[int, Adapter] = {}
        self._queue: deque[Submit | LoadAdapter] = deque()
        self._opener = ThreadPoolExecutor(1)
        self._opening: tuple[LoadAdapter, Future[AdapterBatch]] | None = None
        self._messages: list[FromWorker] = []
        self._advances: list[Advance] = []
        self._failures: list[Failure] = []
        self._grammars_full = False

    @property
    def busy(self) -> bool:
        """Whether a step has something to do or to report."""
        pending = self._messages or self._advances or self._failures
        return bool(self._queue or self._opening or pending or self._working())

    def take(self, frame: ToWorker) -> None:
        """Take a message on; a step reports what comes of it."""
        if isinstance(frame, Cancel):
            self._cancel(frame.id)
        elif isinstance(frame, LoadAdapter):
            self._load(frame)
        elif isinstance(frame, DropAdapter):
            self._drop(frame.id)
        elif isinstance(frame, Submit):
            if frame.adapter:
                self._queue.append(frame)
            else:
                self._base.submit(frame)

    def step(self) -> Sequence[FromWorker]:
        """Run each batch that has work once; what there is to report."""
        self._finish_opening()
        self._fill()
        for batch in self._working():
            made = batch.step()
            self._advances += made.advances
            self._failures += made.failures
            self._grammars_full |= made.grammars_full
        messages = self._messages
        if self._advances or self._failures:
            messages.append(Stepped(self._advances, self._failures, self._grammars_full))
        self._messages, self._advances, self._failures = [], [], []
        return messages

    def _working(self) -> list[Batch]:
        return [batch for batch in self._batches() if batch.busy]

    def _batches(self) -> list[Batch]:
        return [self._base, *(pipeline.batch for pipeline in self._pipelines)]

    def _cancel(self, request_id: int) -> None:
        waiting = next((f for f in self._queue if isinstance(f, Submit) and f.id == request_id), None)
        if waiting is not None:
            self._queue.remove(waiting)
            self._advances.append(Advance(request_id, (), (), "cancelled"))
            return
        for batch in self._batches():
            batch.cancel(request_id)

    def _load(self, frame: LoadAdapter) -> None:
        try:
            self._adapters[frame.id] = self._read_adapter(frame.weights)
        except RuntimeError as error:
            self._messages.append(AdapterTried(frame.id, str(error)))
            return
        self._queue.append(frame)

    def _finish_opening(self) -> None:
        """Use a pipeline that was opened; wait for it a little where there is nothing else to do."""
        if self._opening is None:
            return
        frame, opened = self._opening
        if not self._working():
            wait([opened], timeout=_OPENING_POLL_S)
        if not opened.done():
            return
        self._opening = None
        try:
            self._pipelines.append(AdapterPipeline(opened.result()))
        except RuntimeError as error:
            self._refuse(frame, error)
        else:
            self._queue.appendleft(frame)
        self._trim()

    def _fill(self) -> None:
        while self._queue:
            frame = self._queue[0]
            number = frame.id if isinstance(frame, LoadAdapter) else frame.adapter
            if number not in self._adapters:
                self._refuse(self._queue.popleft(), RuntimeError("its adapter is not loaded"))
                continue
            if isinstance(frame, LoadAdapter) and self._may_open():
                self._queue.popleft()
                self._opening = frame, self._opener.submit(self._open_pipeline)
                continue
            pipeline = self._pipeline(number)
            if pipeline is None:
                return
            self._enter(pipeline, frame, number)

    def _may_open(self) -> bool:
        return self._opening is None and len(self._pipelines) < min(self._most, len(self._adapters))

    def _pipeline(self, number: int) -> AdapterPipeline | None:
        """The pipeline with this adapter, or one with none, or the one that was empty longest."""
        active = [pipeline for pipeline in self._pipelines if pipeline.active == number]
        empty = [pipeline for pipeline in self._pipelines if not pipeline.batch.busy]
        return next(iter((*active, *(pipeline for pipeline in empty if not pipeline.active), *empty)), None)

    def _enter(self, pipeline: AdapterPipeline, first: Submit | LoadAdapter, number: int) -> None:
        entering: list[Submit | LoadAdapter] = [first]
        self._pipelines.remove(pipeline)
        self._pipelines.append(pipeline)
        if pipeline.active != number:
            entering = [f for f in self._queue if isinstance(f, Submit) and f.adapter == number]
            entering = entering if isinstance(first, Submit) else [first]
            try:
                self._change(pipeline, number)
            except RuntimeError as error:
                self._queue = deque(frame for frame in self._queue if frame not in entering)
                for frame in entering:
                    self._refuse(frame, error)
                return
        self._queue = deque(frame for frame in self._queue if frame not in entering)
        for frame in entering:
            if isinstance(frame, Submit):
                pipeline.batch.submit(frame)
            else:
                self._messages.append(AdapterTried(frame.id))

    def _change(self, pipeline: AdapterPipeline, number: int) -> None:
        pipeline.active = 0
        pipeline.batch.activate(self._adapters[number])
        pipeline.active = number

    def _refuse(self, frame: Submit | LoadAdapter, error: RuntimeError) -> None:
        if isinstance(frame, Submit):
            self._failures.append(Failure(frame.id, "failed", str(error)))
        else:
            self._adapters.pop(frame.id, None)
            self._messages.append(AdapterTried(frame.id, str(error)))

    def _drop(self, number: int) -> None:
        """Forget an adapter, also one that was not tried yet."""
        self._adapters.pop(number, None)
        for pipeline in self._pipelines:
            if pipeline.active == number:
                pipeline.active = 0
        self._trim()

    def _trim(self) -> None:
        """Give back the memory of a pipeline that no adapter needs."""
        spare = [pipeline for pipeline in self._pipelines if not pipeline.active and not pipeline.batch.busy]
        for pipeline in spare[: max(len(self._pipelines) - len(self._adapters), 0)]:
            self._pipelines.remove(pipeline)
