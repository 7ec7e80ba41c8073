"""Tasks beside a block."""

from __future__ import annotations

import asyncio

import pytest

from nearstream.tasks import alongside


class Worker:
    def __init__(self) -> None:
        self.started, self.cancelled = asyncio.Event(), False

    async def run(self) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def fail(error: BaseException) -> None:
    raise error


async def test_work_runs_while_the_block_runs_and_is_cancelled_at_its_end() -> None:
    workers = [Worker(), Worker()]
    async with asyncio.timeout(5), alongside(*(worker.run() for worker in workers)):
        for worker in workers:
            await worker.started.wait()
        assert not any(worker.cancelled for worker in workers)
    assert all(worker.cancelled for worker in workers)


async def test_an_error_of_the_block_comes_out_as_itself_and_the_work_is_cancelled() -> None:
    worker = Worker()
    with pytest.raises(KeyError, match="mine"):
        async with asyncio.timeout(5), alongside(worker.run()):
            await fail(await worker.started.wait() and KeyError("mine"))
    assert worker.cancelled


async def test_an_error_of_the_work_ends_the_block_and_comes_out_as_itself() -> None:
    worker = Worker()
    with pytest.raises(KeyError, match="its own") as caught:
        async with asyncio.timeout(5), alongside(worker.run(), fail(KeyError("its own"))):
            await asyncio.Event().wait()
    assert worker.cancelled and caught.value.__cause__ is None


async def test_a_group_that_the_block_raised_stays_a_group() -> None:
    with pytest.raises(ExceptionGroup, match="theirs"):
        async with alongside():
            raise ExceptionGroup("theirs", [KeyError("one")])


async def test_of_several_errors_the_first_comes_out_with_all_of_them_as_its_cause() -> None:
    with pytest.raises(KeyError, match="one") as caught:
        async with alongside(fail(KeyError("one")), fail(ValueError("two"))):
            await asyncio.Event().wait()
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert len(caught.value.__cause__.exceptions) == 2


async def test_a_cancelled_block_is_cancelled_and_nothing_else() -> None:
    worker = Worker()

    async def block() -> None:
        async with alongside(worker.run()):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(block())
    await worker.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert worker.cancelled


async def test_tasks_that_the_block_adds_are_waited_for() -> None:
    done = []

    async def finish() -> None:
        await asyncio.sleep(0)
        done.append(True)

    async with alongside() as tasks:
        tasks.create_task(finish())
    assert done == [True]
