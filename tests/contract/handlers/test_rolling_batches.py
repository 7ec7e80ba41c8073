"""A handler that makes batches itself: it is called until each answer is whole, and nobody gets another's."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from tests.contract.handlers.models import WAIT_S, Models, asked, call
from tests.support.waiting import until

from nearstream.core.errors import HandlerFailed, Unusable
from nearstream.core.handlers import HandlerHead

# Keeps its requests by their places, as DJL's own do, and tells of each call of it.
COUNTS = """
    rows = []
    def handle(inputs):
        if inputs.is_empty():
            return None
        batches = inputs.get_batches()
        if inputs.get_property("reset_rollingbatch"):
            rows.clear()
        if len(batches) < len(rows):
            raise ValueError("a request is gone")
        for one in batches[len(rows):]:
            rows.append({"name": one.get_property("name"), "left": one.get_as_json(), "made": 0})
        time.sleep(0.01)
        output = Output()
        for index, (row, one) in enumerate(zip(rows, batches)):
            if row["made"] and (one.get_as_bytes("data") or one.get_properties()):
                raise ValueError("content comes once")
            row["made"] += 1
            row["left"] -= 1
            if row["name"] == "fails" and row["made"] == 2:
                raise ValueError("one of them broke it")
            part = {"data": f"{row['name']}{row['made']} ", "last": row["left"] <= 0}
            if row["name"] == "refused":
                part = {"data": "", "last": True, "code": 400, "error": "not this one"}
            output.add(Output.binary_encode(part), batch_index=index)
            output.add_property(f"batch_{index}_X-Name", row["name"])
        rows[:] = [row for row in rows if row["left"] > 0 and row["name"] != "refused"]
        print("size", len(batches))
        return output
"""
ROLLING = {"properties": {"rolling_batch": "auto", "max_rolling_batch_size": "3"}}


def words(name: str, count: int) -> bytes:
    return "".join(f"{name}{number} " for number in range(1, count + 1)).encode()


async def test_each_answer_is_made_part_by_part_to_its_last(models: Models):
    async with models.open(COUNTS, **ROLLING) as workers, asyncio.timeout(WAIT_S):
        answer = await call(workers, 3, name="a")
    assert answer.chunks == (b"a1 ", b"a2 ", b"a3 ") and answer.head.properties["X-Name"] == "a"


async def test_nobody_gets_anothers_part_however_many_come_and_go(models: Models):
    counts = {f"caller-{number}-": number % 7 + 1 for number in range(20)}
    async with models.open(COUNTS, **ROLLING) as workers, asyncio.timeout(WAIT_S):
        answers = await asyncio.gather(*(call(workers, count, name=name) for name, count in counts.items()))
    for answer, (name, count) in zip(answers, counts.items(), strict=True):
        assert answer.body == words(name, count) and answer.head.properties["X-Name"] == name


async def test_requests_join_a_batch_that_runs_up_to_its_size(models: Models, log: list[dict[str, object]]):
    async with models.open(COUNTS, **ROLLING) as workers, asyncio.timeout(WAIT_S):
        await asyncio.gather(*(call(workers, 20, name=name) for name in ("a", "b", "c", "d")))
    sizes = [str(line["line"]) for line in log if str(line.get("line", "")).startswith("size")]
    assert "size 3" in sizes and "size 4" not in sizes


async def test_a_reader_that_leaves_keeps_its_place_and_the_others_their_answers(models: Models):
    async with models.open(COUNTS, **ROLLING) as workers, asyncio.timeout(WAIT_S):
        staying = asyncio.ensure_future(call(workers, 60, name="stays"))
        async with aclosing(workers.invoke(asked(50, name="leaves"))) as parts:
            await anext(parts)
            await anext(parts)
        later = await call(workers, 5, name="later")
        assert (await staying).body == words("stays", 60) and later.body == words("later", 5)


async def test_a_reader_that_falls_behind_is_cut_off_and_the_others_go_on(models: Models):
    source = COUNTS.replace("time.sleep(0.01)", "pass")
    async with (
        asyncio.timeout(60),
        models.open(source, **ROLLING) as workers,
        aclosing(workers.invoke(asked(1500, name="slow"))) as parts,
    ):
        await anext(parts)
        assert (await call(workers, 1400, name="b")).body == words("b", 1400)
        with pytest.raises(HandlerFailed, match="more than 1024 parts behind"):
            async for _ in parts:
                pass


async def test_a_failure_is_told_to_each_and_the_next_begin_afresh(models: Models):
    async with models.open(COUNTS, **ROLLING) as workers, asyncio.timeout(WAIT_S):
        async with aclosing(workers.invoke(asked(9, name="fails"))) as parts:
            assert isinstance(await anext(parts), HandlerHead) and await anext(parts) == b"fails1 "
            with pytest.raises(HandlerFailed, match="one of them broke it"):
                await anext(parts)
        assert (await call(workers, 2, name="next")).body == words("next", 2)


async def test_one_request_is_refused_alone(models: Models):
    async with models.open(COUNTS, **ROLLING) as workers, asyncio.timeout(WAIT_S):
        refused, other = await asyncio.gather(
            call(workers, 5, name="refused"), call(workers, 5, name="other")
        )
    assert refused.head.code == 400 and refused.json()["error"] == "not this one"
    assert other.body == words("other", 5)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("Output().add('one for two', batch_index=0)", "answers 1 of 2 requests"),
        ("Output().add('a', batch_index=1).add('b', batch_index=1)", "answers 2 of 2 requests"),
        ("Output().add_stream_content(iter('ab'))", "parts are wanted"),
        ("'no output'", "Invalid output type"),
        ("None", "answers 0 of 2 requests"),
    ],
)
async def test_an_answer_that_is_not_one_for_each_is_an_error_of_each(
    models: Models, answer: str, error: str
):
    source = f"""
        seen = []
        def handle(inputs):
            if inputs.is_empty():
                return None
            if inputs.get_batch_size() == 1 and not seen:
                time.sleep(0.3)
                seen.append(1)
                return Output().add(Output.binary_encode({{"data": "", "last": False}}))
            return {answer}
    """
    async with models.open(source, **ROLLING) as workers, asyncio.timeout(WAIT_S):
        answers = await asyncio.gather(call(workers, 1), call(workers, 2))
    for one in answers:
        assert one.head.code == 424 and error in one.json()["error"]


async def test_a_handler_that_answers_at_once_answers_each_at_once(models: Models):
    source = """
        def handle(inputs):
            if inputs.is_empty():
                return None
            output = Output()
            for index, one in enumerate(inputs.get_batches()):
                output.add_as_json({"got": one.get_as_json()}, batch_index=index)
            return output
    """
    async with models.open(source, **ROLLING) as workers, asyncio.timeout(WAIT_S):
        answers = await asyncio.gather(*(call(workers, number) for number in range(5)))
    assert [answer.json() for answer in answers] == [{"got": number} for number in range(5)]


async def test_a_handler_that_hangs_in_a_batch_is_ended(models: Models):
    source = """
        def handle(inputs):
            if not inputs.is_empty():
                time.sleep(60)
    """
    async with models.open(source, predict_timeout_s=0.3, **ROLLING) as workers, asyncio.timeout(WAIT_S):
        with pytest.raises(HandlerFailed, match="predict timeout"):
            await call(workers)
        await until(lambda: any(slot.ready for slot in workers.running))


async def test_a_batch_that_has_no_places_is_refused_at_the_start(models: Models):
    properties = {"rolling_batch": "auto", "max_rolling_batch_size": "0"}
    with pytest.raises(Unusable, match=r"option\.max_rolling_batch_size is '0'; a number from 1 to 999"):
        async with models.open(COUNTS, properties=properties):
            pass


async def test_without_a_rolling_batch_a_handler_has_one_call_at_a_time(models: Models):
    source = """
        def handle(inputs):
            return None if inputs.is_empty() else Output().add_as_json(inputs.is_batch())
    """
    async with models.open(source, properties={"rolling_batch": "disable"}) as workers:
        assert (await call(workers)).json() is False
