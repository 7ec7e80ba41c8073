"""What every engine promises."""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing

import pytest
from tests.contract.engines.asking import LONG, PROMPT, Limits, collect, drain, first_step, ids
from tests.support.waiting import until

from nearstream.core.errors import EngineDied, Invalid, NotReady, Overloaded, Unsupported
from nearstream.core.generation import EngineRequest, Sampling


async def test_an_answer_has_the_number_of_tokens_asked_for(open_engine):
    async with open_engine() as engine:
        for wanted in (1, 2, 12):
            assert len(ids(await collect(engine, max_new_tokens=wanted))) == wanted


async def test_exactly_the_last_step_has_finish(open_engine):
    async with open_engine() as engine:
        steps = await collect(engine)
    assert [step.finish for step in steps[:-1]] == [None] * (len(steps) - 1)
    assert steps[-1].finish == "length"


async def test_the_end_of_the_work_is_told_once_and_not_after_the_last_step(open_engine):
    ends: list[int] = []
    async with open_engine() as engine:
        taken = 0
        answer = engine.generate(EngineRequest(PROMPT, Sampling(), 12), on_end=lambda: ends.append(taken))
        async for step in answer:
            assert step.finish is None or len(ends) == 1
            taken += len(step.token_ids)
    assert taken == 12
    assert len(ends) == 1


async def test_every_token_has_a_logprob(open_engine):
    async with open_engine() as engine:
        steps = await collect(engine)
    assert all(len(step.token_ids) == len(step.logprobs) > 0 for step in steps)
    assert all(math.isfinite(p) and p <= 0 for step in steps for p in step.logprobs)


async def test_greedy_answers_repeat(open_engine):
    async with open_engine() as engine:
        assert ids(await collect(engine)) == ids(await collect(engine))


async def test_another_prompt_has_another_answer(open_engine):
    async with open_engine() as engine:
        assert ids(await collect(engine)) != ids(await collect(engine, prompt=(90, 91, 92, 94)))


async def test_a_stop_token_ends_the_answer_and_is_reported(open_engine):
    async with open_engine() as engine:
        free = ids(await collect(engine))
        stop = free[4]
        steps = await collect(engine, sampling=Sampling(stop_token_ids=frozenset({stop})))
    assert ids(steps) == free[: free.index(stop) + 1]
    assert steps[-1].finish == "eos"


async def test_requests_that_run_together_interleave(open_engine):
    order: list[str] = []

    async def follow(engine, name: str, prompt: tuple[int, ...]) -> None:
        async with aclosing(engine.generate(EngineRequest(prompt, Sampling(), 40))) as steps:
            async for _ in steps:
                order.append(name)  # noqa: PERF401 - the order is what is looked at

    async with open_engine() as engine, asyncio.TaskGroup() as tasks:
        tasks.create_task(follow(engine, "a", PROMPT))
        tasks.create_task(follow(engine, "b", (30, 31, 32)))
    assert order.count("a") == order.count("b") == 40
    assert order.index("b") < len(order) - 1 - order[::-1].index("a")
    assert order.index("a") < len(order) - 1 - order[::-1].index("b")


async def test_an_answer_is_the_same_alone_and_in_company(open_engine):
    async with open_engine() as engine:
        alone = ids(await collect(engine))
        together = await asyncio.gather(*(collect(engine) for _ in range(4)))
    assert [ids(steps) for steps in together] == [alone] * 4


async def test_closing_the_answer_frees_its_place_before_it_would_have_ended(open_engine):
    async with open_engine() as engine:
        answer = engine.generate(EngineRequest(PROMPT, Sampling(), LONG))
        await first_step(answer)
        assert engine.live == 1
        await answer.aclose()
        await until(lambda: engine.live == 0)


async def test_cancelling_the_reader_frees_its_place(open_engine):
    async with open_engine() as engine:
        reader = asyncio.ensure_future(collect(engine, max_new_tokens=LONG))
        await until(lambda: engine.live == 1)
        reader.cancel()
        await asyncio.wait([reader])
        await until(lambda: engine.live == 0)


async def test_a_full_engine_refuses_and_a_freed_place_is_given_to_who_waits(open_engine):
    async with open_engine(Limits(max_seqs=1, max_waiting=1)) as engine:
        running = engine.generate(EngineRequest(PROMPT, Sampling(), LONG))
        await first_step(running)
        waiting = asyncio.ensure_future(collect(engine))
        await until(lambda: engine.waiting == 1)
        with pytest.raises(Overloaded):
            await collect(engine)
        await running.aclose()
        assert len(ids(await waiting)) == 12


async def test_leaving_the_line_makes_room_in_it(open_engine):
    async with open_engine(Limits(max_seqs=1, max_waiting=1)) as engine:
        running = engine.generate(EngineRequest(PROMPT, Sampling(), LONG))
        await first_step(running)
        waiting = asyncio.ensure_future(collect(engine))
        await until(lambda: engine.waiting == 1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert engine.waiting == 0
        await running.aclose()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(typical_p=0.5),
        Sampling(watermark=True),
        Sampling(adapter="french"),
        Sampling(logit_bias=((5, 1.0),)),
    ],
    ids=lambda s: next(n for n in Sampling.__dataclass_fields__ if getattr(s, n) != getattr(Sampling(), n)),
)
async def test_an_option_it_lacks_is_refused_by_name(open_engine, sampling, request):
    option = request.node.callspec.id.split("-")[-1]
    async with open_engine() as engine:
        with pytest.raises(Unsupported) as refused:
            await collect(engine, sampling=sampling)
        assert refused.value.option == option
        assert option in str(refused.value) and refused.value.engine in str(refused.value)
        assert engine.live == 0


async def test_no_prompt_and_no_new_tokens_are_refused(open_engine):
    async with open_engine() as engine:
        with pytest.raises(Invalid):
            await collect(engine, prompt=())
        with pytest.raises(Invalid):
            await collect(engine, max_new_tokens=0)


async def test_closing_the_engine_ends_what_runs_and_may_be_done_twice(open_engine):
    async with open_engine() as engine:
        assert await engine.healthy()
        answer = engine.generate(EngineRequest(PROMPT, Sampling(), LONG))
        await first_step(answer)
        await engine.aclose()
        with pytest.raises(EngineDied):
            await drain(answer)
        await engine.aclose()
        assert not await engine.healthy()
        with pytest.raises(NotReady):
            await collect(engine)
