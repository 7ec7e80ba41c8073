"""Dynamic batching: calls that come together are one Input, and each gets its own part of the answer."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest
from tests.contract.handlers.models import WAIT_S, Models, asked, call
from tests.support.waiting import until

from nearstream.core.errors import HandlerFailed

DOUBLES = """
    def handle(inputs):
        if inputs.is_empty():
            return None
        output = Output()
        for index, one in enumerate(inputs.get_batches()):
            doubled, size = 2 * one.get_as_json(), inputs.get_batch_size()
            output.add({"doubled": doubled, "of": size, "kind": one.get_property("kind")}, batch_index=index)
            output.add_property(f"batch_{index}_X-Number", one.get_as_string())
        return output
"""
BATCHED = {"batch_size": 4, "max_batch_delay_ms": 100}


async def test_calls_that_come_together_are_one_batch(models: Models):
    async with models.open(DOUBLES, **BATCHED) as workers:
        answers = await asyncio.gather(*(call(workers, number, Kind=f"k{number}") for number in range(4)))
    assert [answer.json() for answer in answers] == [
        {"doubled": 2 * number, "of": 4, "kind": f"k{number}"} for number in range(4)
    ]
    assert [answer.head.properties["X-Number"] for answer in answers] == ["0", "1", "2", "3"]


async def test_a_call_alone_waits_no_longer_than_the_delay(models: Models):
    async with models.open(DOUBLES, batch_size=4, max_batch_delay_ms=50) as workers:
        began = time.monotonic()
        assert (await call(workers, 1)).json()["of"] == 1
        assert 0.04 <= time.monotonic() - began < 2


async def test_more_calls_than_one_batch_are_several(models: Models):
    async with models.open(DOUBLES, **BATCHED) as workers:
        answers = await asyncio.gather(*(call(workers, number) for number in range(6)))
    assert sorted(answer.json()["of"] for answer in answers) == [2, 2, 4, 4, 4, 4]
    assert [answer.json()["doubled"] for answer in answers] == [2 * number for number in range(6)]


async def test_a_reader_that_left_while_it_waited_is_not_in_the_batch(models: Models):
    async with models.open(DOUBLES, batch_size=4, max_batch_delay_ms=300) as workers:
        leaving, staying = (asyncio.ensure_future(call(workers, number)) for number in range(2))
        await until(lambda: workers.waiting == 2)
        leaving.cancel()
        assert (await staying).json() == {"doubled": 2, "of": 1, "kind": None}


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("Output().add('one', batch_index=0)", "Batch output size mismatch, expected: 2, actual: 1"),
        ("Output().add('a').add('b')", "Unexpected batch output key: None"),
        ("Output().error('no')", "no"),
        ("1 / 0", "division by zero"),
    ],
)
async def test_a_batch_that_fails_fails_for_each(models: Models, expression: str, error: str):
    source = f"def handle(inputs):\n    return None if inputs.is_empty() else {expression}"
    async with models.open(source, batch_size=2) as workers:
        answers = await asyncio.gather(call(workers, 1), call(workers, 2))
    assert [(answer.head.code, answer.json()["error"]) for answer in answers] == [(424, error)] * 2


async def test_a_batch_of_nothing_is_nothing_for_each(models: Models):
    async with models.open("def handle(inputs):\n    return None", batch_size=2) as workers:
        answers = await asyncio.gather(call(workers, 1), call(workers, 2))
    assert [answer.head.code for answer in answers] == [204, 204]


@pytest.mark.parametrize("word", ["", "async "])
async def test_a_stream_for_a_batch_gives_each_call_its_own_part(models: Models, word: str):
    source = f"""
        {word}def items(calls):
            for step in range(3):
                yield [f"{{one.get_as_json()}}{{step}}" for one in calls]
        {word}def handle(inputs):
            if inputs.is_empty():
                return None
            return Output().add_stream_content(items(inputs.get_batches()))
    """
    async with models.open(source, batch_size=2) as workers:
        a, b = await asyncio.gather(call(workers, "a"), call(workers, "b"))
    assert a.body == b'{"outputs": ["a0"]}\n{"outputs": ["a1"]}\n{"outputs": ["a2"]}\n'
    assert b.body == b'{"outputs": ["b0"]}\n{"outputs": ["b1"]}\n{"outputs": ["b2"]}\n'


async def test_one_reader_of_a_batch_may_leave_and_the_other_reads_on(models: Models):
    source = """
        def items():
            for step in range(100):
                yield [b"a%d" % step, b"b%d" % step]
        def handle(inputs):
            if inputs.is_empty():
                return None
            return Output().add_stream_content(items(), output_formatter=None)
    """
    async with models.open(source, batch_size=2) as workers, asyncio.timeout(WAIT_S):
        async with aclosing(workers.invoke(asked())) as leaving:
            begun = asyncio.ensure_future(anext(leaving))
            await asyncio.sleep(0)
            staying = asyncio.ensure_future(call(workers))
            await begun
        assert len((await staying).chunks) == 100


async def test_a_batch_that_takes_too_long_ends_for_each(models: Models):
    source = """
        def handle(inputs):
            if not inputs.is_empty():
                time.sleep(60)
    """
    async with models.open(source, batch_size=2, predict_timeout_s=0.2) as workers, asyncio.timeout(WAIT_S):
        done = await asyncio.gather(call(workers, 1), call(workers, 2), return_exceptions=True)
    assert all(isinstance(one, HandlerFailed) and "predict timeout" in str(one) for one in done)
