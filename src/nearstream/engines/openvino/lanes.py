"""Who runs where in the worker: the base model's batch, and lanes in which adapters take turns.

OpenVINO runs one adapter in one pipeline at a time. So a request for an adapter needs a lane, a pipeline of
its own, that wears it. A lane changes its adapter in milliseconds, but only while it is empty. The requests
for adapters stand in one line: while its first finds no lane, nothing behind it enters one, so every turn
ends; when a lane changes, all that wait for its new adapter go with it.
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


class LaneBatch(Batch, Protocol):
    """A pipeline that can wear an adapter."""

    def wear(self, adapter: Adapter) -> None: ...


class Lane:
    """A pipeline and the number of the adapter that it wears, 0 for none."""

    def __init__(self, batch: LaneBatch) -> None:
        self.batch = batch
        self.worn = 0


class Lanes:
    """The base model and at most `most` lanes, which are opened beside the running batches."""

    def __init__(
        self,
        base: Batch,
        open_lane: Callable[[], LaneBatch],
        read_adapter: Callable[[str], Adapter],
        *,
        most: int,
    ) -> None:
        self._base = base
        self._open_lane = open_lane
        self._read_adapter = read_adapter
        self._most = most
        self._lanes: list[Lane] = []
        self._adapters: dict[int, Adapter] = {}
        self._line: deque[Submit | LoadAdapter] = deque()
        self._opener = ThreadPoolExecutor(1)
        self._opening: tuple[LoadAdapter, Future[LaneBatch]] | None = None
        self._told: list[FromWorker] = []
        self._advances: list[Advance] = []
        self._failures: list[Failure] = []

    @property
    def busy(self) -> bool:
        """Whether a step has something to do or to tell."""
        told = self._told or self._advances or self._failures
        return bool(self._line or self._opening or told or self._working())

    def take(self, frame: ToWorker) -> None:
        """Take a frame on; what comes of it is told by a step."""
        if isinstance(frame, Cancel):
            self._cancel(frame.id)
        elif isinstance(frame, LoadAdapter):
            self._load(frame)
        elif isinstance(frame, DropAdapter):
            self._drop(frame.id)
        elif isinstance(frame, Submit):
            if frame.adapter:
                self._line.append(frame)
            else:
                self._base.submit(frame)

    def step(self) -> Sequence[FromWorker]:
        """Run each batch that has work once; what there is to tell."""
        self._finish_opening()
        self._fill()
        for batch in self._working():
            made = batch.step()
            self._advances += made.advances
            self._failures += made.failures
        told = self._told
        if self._advances or self._failures:
            told.append(Stepped(self._advances, self._failures))
        self._told, self._advances, self._failures = [], [], []
        return told

    def _working(self) -> list[Batch]:
        return [batch for batch in (self._base, *(lane.batch for lane in self._lanes)) if batch.busy]

    def _cancel(self, request_id: int) -> None:
        waiting = next((f for f in self._line if isinstance(f, Submit) and f.id == request_id), None)
        if waiting is not None:
            self._line.remove(waiting)
            self._advances.append(Advance(request_id, (), (), "cancelled"))
            return
        for batch in (self._base, *(lane.batch for lane in self._lanes)):
            batch.cancel(request_id)

    def _load(self, frame: LoadAdapter) -> None:
        try:
            self._adapters[frame.id] = self._read_adapter(frame.weights)
        except RuntimeError as error:
            self._told.append(AdapterTried(frame.id, str(error)))
            return
        self._line.append(frame)

    def _finish_opening(self) -> None:
        """Put a lane that was opened to use; wait for it a little where there is nothing else to do."""
        if self._opening is None:
            return
        frame, opened = self._opening
        if not self._working():
            wait([opened], timeout=_OPENING_POLL_S)
        if not opened.done():
            return
        self._opening = None
        try:
            self._lanes.append(Lane(opened.result()))
        except RuntimeError as error:
            self._refuse(frame, error)
        else:
            self._line.appendleft(frame)
        self._trim()

    def _fill(self) -> None:
        while self._line:
            frame = self._line[0]
            number = frame.id if isinstance(frame, LoadAdapter) else frame.adapter
            if number not in self._adapters:
                self._refuse(self._line.popleft(), RuntimeError("its adapter is not loaded"))
                continue
            if isinstance(frame, LoadAdapter) and self._may_open():
                self._line.popleft()
                self._opening = frame, self._opener.submit(self._open_lane)
                continue
            lane = self._lane(number)
            if lane is None:
                return
            self._enter(lane, frame, number)

    def _may_open(self) -> bool:
        return self._opening is None and len(self._lanes) < min(self._most, len(self._adapters))

    def _lane(self, number: int) -> Lane | None:
        """The lane that wears this adapter, or one that wears none, or that was empty longest."""
        worn = [lane for lane in self._lanes if lane.worn == number]
        empty = [lane for lane in self._lanes if not lane.batch.busy]
        return next(iter((*worn, *(lane for lane in empty if not lane.worn), *empty)), None)

    def _enter(self, lane: Lane, first: Submit | LoadAdapter, number: int) -> None:
        entering: list[Submit | LoadAdapter] = [first]
        self._lanes.remove(lane)
        self._lanes.append(lane)
        if lane.worn != number:
            entering = [f for f in self._line if isinstance(f, Submit) and f.adapter == number]
            entering = entering if isinstance(first, Submit) else [first]
            try:
                self._change(lane, number)
            except RuntimeError as error:
                self._line = deque(frame for frame in self._line if frame not in entering)
                for frame in entering:
                    self._refuse(frame, error)
                return
        self._line = deque(frame for frame in self._line if frame not in entering)
        for frame in entering:
            if isinstance(frame, Submit):
                lane.batch.submit(frame)
            else:
                self._told.append(AdapterTried(frame.id))

    def _change(self, lane: Lane, number: int) -> None:
        lane.worn = 0
        lane.batch.wear(self._adapters[number])
        lane.worn = number

    def _refuse(self, frame: Submit | LoadAdapter, error: RuntimeError) -> None:
        if isinstance(frame, Submit):
            self._failures.append(Failure(frame.id, "failed", str(error)))
        else:
            self._adapters.pop(frame.id, None)
            self._told.append(AdapterTried(frame.id, str(error)))

    def _drop(self, number: int) -> None:
        """Forget an adapter, also one that was not tried yet."""
        self._adapters.pop(number, None)
        for lane in self._lanes:
            if lane.worn == number:
                lane.worn = 0
        self._trim()

    def _trim(self) -> None:
        """Give back the memory of a lane that no adapter needs."""
        spare = [lane for lane in self._lanes if not lane.worn and not lane.batch.busy]
        for lane in spare[: max(len(self._lanes) - len(self._adapters), 0)]:
            self._lanes.remove(lane)
