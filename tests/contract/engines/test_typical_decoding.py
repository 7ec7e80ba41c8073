"""typical_p on the real engine, which takes such a request one token forward at a time."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from tests.contract.engines.asking import PROMPT, collect, first_step, ids
from tests.contract.engines.warped import penalised, warped
from tests.support.waiting import until

from nearstream.core.errors import GenerationFailed, Invalid
from nearstream.core.generation import EngineRequest, Grammar, Sampling
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.engines.openvino.options import options_of
from nearstream.models.builtin import builtin_path

PENALISED = (1, 308, 446, 5, 9, 40, 77, 123, 5)
"""Of its first tokens two are those that follow unless a penalty keeps them away."""
TYPICAL = Sampling(do_sample=True, typical_p=0.95, top_p=0.95, temperature=0.8)
LOGITS = Path(__file__).with_name("scripts") / "raw_logits.py"


async def raw_logits(prompt: tuple[int, ...]) -> list[float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(LOGITS), str(builtin_path()), ",".join(map(str, prompt))),
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    logits: list[float] = json.loads(told)
    return logits


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(openvino_settings):
    """What is kept of a prompt is not rounded: whether a request finds it there depends on its company."""
    exact = (*openvino_settings.properties, ("KV_CACHE_PRECISION", "f32"))
    settings = replace(openvino_settings, kv_bytes_per_token=32768, properties=exact)
    async with OpenVINOEngine.open(settings) as engine:
        yield engine


async def test_of_one_candidate_the_answer_is_the_greedy_one(engine):
    """Across the borders of the cache's blocks: what is taken from the cache changes nothing."""
    steps = await collect(engine, sampling=replace(TYPICAL, top_k=1), max_new_tokens=80)
    greedy = await collect(engine, max_new_tokens=80)
    assert (ids(steps), steps[-1].finish, len(steps)) == (ids(greedy), "length", 80)
    told = [logprob for step in steps for logprob in step.logprobs]
    assert told == pytest.approx([logprob for step in greedy for logprob in step.logprobs], abs=1e-3)


async def test_of_one_candidate_left_by_a_penalty_the_answer_is_the_greedy_one_with_that_penalty(engine):
    penalised = Sampling(repetition_penalty=1.5)
    greedy = await collect(engine, sampling=penalised, max_new_tokens=40)
    sampled = replace(TYPICAL, top_k=1, repetition_penalty=1.5)
    steps = await collect(engine, sampling=sampled, max_new_tokens=40)
    assert ids(steps) == ids(greedy) != ids(await collect(engine, max_new_tokens=40))
    told = [logprob for step in steps for logprob in step.logprobs]
    assert told == pytest.approx([logprob for step in greedy for logprob in step.logprobs], abs=1e-3)


@pytest.mark.parametrize(("top_k", "typical_p"), [(10, 0.9), (60, 0.5)])
async def test_beside_a_repetition_penalty_it_draws_what_the_models_logits_say(engine, top_k, typical_p):
    """In TGI's order: the penalty on logits, temperature, top_k, top_p, typical_p."""
    logits = dict(enumerate(await raw_logits(PENALISED)))
    asked = Sampling(
        do_sample=True, repetition_penalty=1.4, temperature=0.9, top_k=top_k, top_p=0.95, typical_p=typical_p
    )
    options = options_of(asked, max_new_tokens=1, seed=0)
    wanted = warped(penalised(logits, PENALISED, 1.4), options)
    assert wanted.keys() != warped(logits, options).keys()
    drawn: Counter[int] = Counter()
    for start in range(0, 240, 8):
        many = [replace(asked, seed=seed) for seed in range(start, start + 8)]
        told = await asyncio.gather(*(collect(engine, PENALISED, one, max_new_tokens=1) for one in many))
        drawn.update(token for steps in told for token in ids(steps))
    assert drawn.keys() <= wanted.keys()
    assert {token: count / 240 for token, count in drawn.items()} == pytest.approx(
        {token: wanted[token] for token in drawn}, abs=0.1
    )


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


@pytest.mark.parametrize("penalty", [1.0, 1.03])
async def test_closing_it_frees_its_place(engine, penalty):
    sampling = replace(TYPICAL, repetition_penalty=penalty, top_k=10)
    async with aclosing(engine.generate(EngineRequest(PROMPT, sampling, 200))) as answer:
        await first_step(answer)
    await until(lambda: engine.live == 0)
    assert len(ids(await collect(engine))) == 12


@pytest.mark.parametrize("penalty", [1.0, 1.03])
async def test_it_goes_on_when_a_grammar_beside_it_breaks_a_step(engine, penalty):
    seeded = replace(TYPICAL, seed=7, repetition_penalty=penalty, top_k=10)
    alone = ids(await collect(engine, sampling=seeded, max_new_tokens=20))
    async with aclosing(engine.generate(EngineRequest(PROMPT, seeded, 20))) as answer:
        begun = [await first_step(answer)]
        with pytest.raises(Invalid, match="grammar"):
            await collect(engine, sampling=Sampling(grammar=Grammar("regex", "(((")))
        assert ids(begun + [step async for step in answer]) == alone
