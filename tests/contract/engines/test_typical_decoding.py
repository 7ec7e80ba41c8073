"""typical_p on the real engine, which takes such a request one token forward at a time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest
import pytest_asyncio
from tests.contract.engines.asking import PROMPT, collect, first_step, ids, until

from nearstream.core.errors import GenerationFailed, Invalid
from nearstream.core.generation import Grammar, Sampling
from nearstream.engines.openvino.engine import OpenVINOEngine

TYPICAL = Sampling(do_sample=True, typical_p=0.95, top_p=0.95, temperature=0.8)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(openvino_settings):
    async with OpenVINOEngine.open(openvino_settings) as engine:
        yield engine


async def test_of_one_candidate_the_answer_is_the_greedy_one(engine):
    """Across the borders of the cache's blocks: what is taken from the cache changes nothing."""
    steps = await collect(engine, sampling=replace(TYPICAL, top_k=1), max_new_tokens=80)
    greedy = await collect(engine, max_new_tokens=80)
    assert (ids(steps), steps[-1].finish, len(steps)) == (ids(greedy), "length", 80)
    told = [logprob for step in steps for logprob in step.logprobs]
    assert told == pytest.approx([logprob for step in greedy for logprob in step.logprobs], abs=1e-3)


async def test_a_seed_repeats_an_answer_alone_and_in_company(engine):
    seeded = replace(TYPICAL, seed=42)
    alone = ids(await collect(engine, sampling=seeded, max_new_tokens=20))
    others = [Sampling(), TYPICAL, replace(TYPICAL, seed=43), seeded, Sampling(do_sample=True)]
    told = await asyncio.gather(*(collect(engine, sampling=one, max_new_tokens=20) for one in others))
    assert ids(told[3]) == alone
    assert ids(told[2]) != alone


async def test_so_flat_a_nucleus_that_no_search_is_wide_enough_fails_that_request_alone(engine):
    """typical_p of 0.05 leaves what is rare, after which nearly anything may come."""
    flat = replace(TYPICAL, temperature=1.0, top_p=0.999999, typical_p=0.05, seed=1)
    beside = asyncio.ensure_future(collect(engine))
    with pytest.raises(GenerationFailed, match="typical_p: more than 2048 tokens could be chosen"):
        await collect(engine, sampling=flat, max_new_tokens=60)
    assert len(ids(await beside)) == 12


async def test_it_ends_with_the_models_end(engine):
    greedy = ids(await collect(engine))
    ending = greedy[5]
    stopping = replace(TYPICAL, top_k=1, stop_token_ids=frozenset({ending}))
    steps = await collect(engine, sampling=stopping)
    assert (ids(steps), steps[-1].finish) == (greedy[: greedy.index(ending) + 1], "eos")


async def test_closing_it_frees_its_place(engine):
    async with aclosing(engine.generate(PROMPT, TYPICAL, max_new_tokens=200)) as answer:
        await first_step(answer)
    await until(lambda: engine.live == 0)
    assert len(ids(await collect(engine))) == 12


async def test_it_goes_on_when_a_grammar_beside_it_breaks_a_step(engine):
    seeded = replace(TYPICAL, seed=7)
    alone = ids(await collect(engine, sampling=seeded, max_new_tokens=20))
    async with aclosing(engine.generate(PROMPT, seeded, max_new_tokens=20)) as answer:
        begun = [await first_step(answer)]
        with pytest.raises(Invalid, match="grammar"):
            await collect(engine, sampling=Sampling(grammar=Grammar("regex", "(((")))
        assert ids(begun + [step async for step in answer]) == alone
