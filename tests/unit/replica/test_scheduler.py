"""Places in the batch: by number, by tokens, by priority; nobody is lost who gives up waiting."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.core.errors import Overloaded
from nearstream.replica.scheduler import Priority, Scheduler


class Visitor:
    """Takes a place and keeps it until told to leave."""

    def __init__(
        self, scheduler: Scheduler, tasks: asyncio.TaskGroup, tokens: int = 1, **options: Priority
    ) -> None:
        self._scheduler = scheduler
        self._leave = asyncio.Event()
        self.inside = False
        self.task = tasks.create_task(self._visit(tokens, **options))

    async def _visit(self, tokens: int, **options: Priority) -> None:
        async with self._scheduler.place(tokens, **options):
            self.inside = True
            await self._leave.wait()
        self.inside = False

    async def leave(self) -> None:
        self._leave.set()
        await self.task
        await settle()


async def settle() -> None:
    """Let every task go on until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def scheduler(**limits: int | None) -> Scheduler:
    return Scheduler(**({"max_size": None, "max_tokens": None, "max_waiting": 10} | limits))


async def test_one_more_than_the_size_waits_until_a_place_is_free():
    limited = scheduler(max_size=2)
    async with asyncio.TaskGroup() as tasks:
        first, second, third = (Visitor(limited, tasks) for _ in range(3))
        await settle()
        assert (first.inside, second.inside, third.inside) == (True, True, False)
        assert (limited.size, limited.waiting) == (2, 1)
        await first.leave()
        assert third.inside
        await second.leave()
        await third.leave()
    assert (limited.size, limited.tokens, limited.waiting) == (0, 0, 0)


async def test_a_place_that_was_left_early_is_left_once():
    limited = scheduler(max_size=1)
    async with asyncio.TaskGroup() as tasks, limited.place(5) as leave:
        waiting = Visitor(limited, tasks)
        await settle()
        assert not waiting.inside
        leave()
        leave()
        await settle()
        assert waiting.inside
        assert (limited.size, limited.tokens) == (1, 1)
        await waiting.leave()
    assert (limited.size, limited.tokens) == (0, 0)


async def test_tokens_are_counted_together():
    limited = scheduler(max_tokens=100)
    async with asyncio.TaskGroup() as tasks:
        large, small, next_large = (Visitor(limited, tasks, tokens) for tokens in (80, 20, 30))
        await settle()
        assert (large.inside, small.inside, next_large.inside) == (True, True, False)
        assert limited.tokens == 100
        await small.leave()
        assert not next_large.inside
        await large.leave()
        assert next_large.inside
        await next_large.leave()


async def test_a_small_request_does_not_pass_a_large_one_in_line():
    limited = scheduler(max_tokens=100)
    async with asyncio.TaskGroup() as tasks:
        running, large, small = (Visitor(limited, tasks, tokens) for tokens in (60, 90, 10))
        await settle()
        assert (large.inside, small.inside) == (False, False)
        await running.leave()
        assert (large.inside, small.inside) == (True, True)
        await large.leave()
        await small.leave()


async def test_a_request_larger_than_the_batch_runs_alone():
    limited = scheduler(max_tokens=100)
    async with asyncio.TaskGroup() as tasks:
        huge, small = (Visitor(limited, tasks, tokens) for tokens in (500, 1))
        await settle()
        assert (huge.inside, small.inside) == (True, False)
        await huge.leave()
        assert small.inside
        await small.leave()


async def test_high_goes_before_normal_before_low_and_equals_in_order():
    limited = scheduler(max_size=1)
    low, normal, high = Priority.LOW, Priority.NORMAL, Priority.HIGH
    async with asyncio.TaskGroup() as tasks:
        running = Visitor(limited, tasks)
        await settle()
        asked = [low, normal, high, normal, high]
        line = [Visitor(limited, tasks, priority=priority) for priority in asked]
        await settle()
        order: list[Any] = []
        current = running
        while len(order) < len(line):
            await current.leave()
            current = next(visitor for visitor in line if visitor.inside)
            order.append(line.index(current))
        await current.leave()
    assert order == [2, 4, 1, 3, 0]


async def test_one_too_many_in_line_is_overloaded():
    limited = scheduler(max_size=1, max_waiting=1)
    async with asyncio.TaskGroup() as tasks:
        running, waiting = Visitor(limited, tasks), Visitor(limited, tasks)
        await settle()
        with pytest.raises(Overloaded, match="1 requests wait"):
            async with limited.place(1):
                pass
        await running.leave()
        await waiting.leave()


async def test_when_the_first_in_line_gives_up_the_next_that_fits_goes_in():
    limited = scheduler(max_tokens=100)
    async with asyncio.TaskGroup() as tasks:
        running, large, small = (Visitor(limited, tasks, tokens) for tokens in (60, 90, 10))
        await settle()
        large.task.cancel()
        await settle()
        assert small.inside
        await running.leave()
        await small.leave()


async def test_a_place_given_to_one_who_gives_up_at_that_moment_is_not_lost():
    limited = scheduler(max_size=1)
    async with asyncio.TaskGroup() as tasks:
        running, leaver, next_one = (Visitor(limited, tasks) for _ in range(3))
        await settle()
        running._leave.set()
        await asyncio.sleep(0)  # the place is given, its taker has not run yet
        leaver.task.cancel()
        await settle()
        assert not leaver.inside
        assert next_one.inside
        await next_one.leave()
    assert (limited.size, limited.tokens) == (0, 0)


@given(st.data())
async def test_however_visitors_come_and_go_the_limits_hold_and_all_get_in(data: st.DataObject):
    limited = scheduler(max_size=3, max_tokens=20, max_waiting=100)
    most = 0

    async def visit(tokens: int, steps: int, priority: Priority) -> None:
        nonlocal most
        async with limited.place(tokens, priority=priority):
            most = max(most, limited.size)
            assert limited.size <= 3
            assert limited.tokens <= 20 or limited.size == 1
            for _ in range(steps):
                await asyncio.sleep(0)

    each = st.tuples(st.integers(1, 30), st.integers(0, 4), st.sampled_from(Priority), st.booleans())
    visits = data.draw(st.lists(each, min_size=1, max_size=15))
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(visit(*asked)) for *asked, _ in visits]
        await asyncio.sleep(0)
        for task, (*_, gives_up) in zip(started, visits, strict=True):
            if gives_up:
                task.cancel()
    assert (limited.size, limited.tokens, limited.waiting) == (0, 0, 0)
    assert most >= 1
