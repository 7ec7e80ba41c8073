"""Who runs where in the worker, shown with batches that only note what they are given."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from nearstream.engines.openvino.adapter_scheduler import AdapterScheduler
from nearstream.engines.openvino.frames import (
    AdapterTried,
    Advance,
    Cancel,
    DropAdapter,
    LoadAdapter,
    Options,
    Stepped,
    Submit,
)

BROKEN = "broken"


class Noting:
    """Each request makes tokens until `end`."""

    def __init__(self) -> None:
        self.held: list[int] = []
        self.active: list[str] = []

    @property
    def busy(self) -> bool:
        return bool(self.held)

    def submit(self, frame: Submit) -> None:
        self.held.append(frame.id)

    def cancel(self, request_id: int) -> None:
        self.end(request_id)

    def end(self, request_id: int) -> None:
        self.held = [held for held in self.held if held != request_id]

    def activate(self, adapter: str) -> None:
        assert not self.held, "a pipeline changes its adapter only while it is empty"
        if adapter == BROKEN:
            raise RuntimeError("no such layer")
        self.active.append(adapter)

    def step(self) -> Stepped:
        return Stepped([Advance(held, (1,), (0.0,), None) for held in self.held])


class Worker:
    """AdapterScheduler around noting batches. Adapters 1 and 2 are there at once."""

    def __init__(self, *, most: int = 1, load: tuple[int, ...] = (1, 2)) -> None:
        self.base = Noting()
        self.opened: list[Noting] = []
        self.may_open = threading.Event()
        self.may_open.set()
        self.pipelines = AdapterScheduler(self.base, self.open, self.read, most=most)
        for number in load:
            self.pipelines.take(LoadAdapter(number, f"adapter {number}"))
            assert self.told(AdapterTried) == [AdapterTried(number)]

    def open(self) -> Noting:
        assert self.may_open.wait(10)
        self.opened.append(Noting())
        return self.opened[-1]

    def read(self, weights: str) -> str:
        if weights == "half a file":
            raise RuntimeError("cannot be read")
        return weights

    def told(self, kind: type) -> list[Any]:
        while True:
            if told := [frame for frame in self.pipelines.step() if isinstance(frame, kind)]:
                return told

    def submit(self, *requests: tuple[int, int]) -> None:
        for request_id, adapter in requests:
            self.pipelines.take(Submit(request_id, b"", Options(9), adapter))
        self.pipelines.step()


def test_what_asks_for_no_adapter_runs_in_the_base_batch():
    worker = Worker(load=())
    worker.submit((7, 0))
    assert worker.base.held == [7]
    assert not worker.opened


def test_the_first_adapter_opens_a_lane_while_the_base_goes_on():
    worker = Worker(load=())
    worker.may_open.clear()
    worker.submit((7, 0))
    worker.pipelines.take(LoadAdapter(1, "adapter 1"))
    stepped: list[Any] = [worker.pipelines.step()[0] for _ in range(3)]
    assert [one.advances[0].id for one in stepped] == [7, 7, 7]
    worker.may_open.set()
    assert worker.told(AdapterTried) == [AdapterTried(1)]
    assert worker.opened[0].active == ["adapter 1"]


def test_no_more_lanes_are_opened_than_there_may_be():
    worker = Worker(most=2, load=(1, 2, 3))
    assert len(worker.opened) == 2


def test_an_adapter_gets_the_lane_that_was_opened_for_it():
    worker = Worker(most=2)
    assert [pipeline.active for pipeline in worker.opened] == [["adapter 1"], ["adapter 2"]]


def test_one_adapters_requests_run_together_and_anothers_wait_until_the_lane_is_empty():
    worker = Worker()
    worker.submit((10, 1), (11, 1), (20, 2))
    pipeline = worker.opened[0]
    assert pipeline.held == [10, 11]
    pipeline.end(10)
    worker.pipelines.step()
    assert pipeline.held == [11]
    pipeline.end(11)
    worker.pipelines.step()
    assert pipeline.held == [20]
    assert pipeline.active[-2:] == ["adapter 1", "adapter 2"]


def test_nothing_passes_who_waits_for_a_lane_and_a_turn_takes_all_that_wait_for_it():
    worker = Worker()
    worker.submit((10, 1))
    worker.submit((20, 2), (11, 1), (21, 2))
    pipeline = worker.opened[0]
    assert pipeline.held == [10]
    pipeline.end(10)
    worker.pipelines.step()
    assert pipeline.held == [20, 21]
    pipeline.end(20)
    pipeline.end(21)
    worker.pipelines.step()
    assert pipeline.held == [11]


def test_two_lanes_answer_for_two_adapters_at_once():
    worker = Worker(most=2)
    worker.submit((10, 1), (20, 2))
    assert sorted(pipeline.held for pipeline in worker.opened) == [[10], [20]]


def test_a_request_in_line_can_be_cancelled():
    worker = Worker()
    worker.submit((10, 1), (20, 2))
    worker.pipelines.take(Cancel(20))
    (stepped,) = worker.told(Stepped)
    assert Advance(20, (), (), "cancelled") in stepped.advances
    worker.opened[0].end(10)
    assert not worker.pipelines.busy


@pytest.mark.parametrize("weights", ["half a file", BROKEN])
def test_an_adapter_that_does_not_load_is_told_and_changes_nothing(weights: str):
    worker = Worker(load=(1,))
    worker.pipelines.take(LoadAdapter(9, weights))
    (tried,) = worker.told(AdapterTried)
    assert tried.id == 9
    assert tried.refusal
    worker.submit((10, 1), (90, 9))
    assert worker.opened[0].held == [10]
    assert not [frame for frame in worker.pipelines.step() if isinstance(frame, Stepped) and frame.failures]


def test_a_lane_that_cannot_be_opened_is_told_and_the_base_goes_on():
    worker = Worker(load=())

    def no_memory() -> Noting:
        raise RuntimeError("out of memory")

    pipelines = AdapterScheduler(worker.base, no_memory, worker.read, most=1)
    pipelines.take(LoadAdapter(1, "adapter 1"))
    told: list[Any] = []
    while not told:
        told = list(pipelines.step())
    assert told == [AdapterTried(1, "out of memory")]
    assert not pipelines.busy


def test_dropping_the_last_adapter_gives_its_lane_back():
    worker = Worker()
    worker.pipelines.take(DropAdapter(2))
    worker.pipelines.take(DropAdapter(1))
    worker.pipelines.take(LoadAdapter(3, "adapter 3"))
    assert worker.told(AdapterTried) == [AdapterTried(3)]
    assert len(worker.opened) == 2
