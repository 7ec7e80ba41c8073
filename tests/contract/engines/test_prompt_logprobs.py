"""The log-probabilities of a prompt's own tokens are the model's, whatever is cached of the prompt."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from tests.contract.engines.asking import collect, ids

from nearstream.core.errors import Unsupported
from nearstream.core.generation import Grammar, Sampling
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.models.builtin import builtin_path

WANTED = Sampling(prefill_logprobs=True)
SHORT = (5, 6, 7, 8, 9, 10)
LONG = tuple(range(5, 105))
LOGITS = Path(__file__).with_name("scripts") / "raw_logits.py"
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def true_logprobs(prompt: tuple[int, ...]) -> list[float]:
    """Of the second token on, from the model's logits."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(LOGITS), str(builtin_path()), ",".join(map(str, prompt)), "all"),
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    rows: list[list[float]] = json.loads(told)
    return [
        row[token] - max(row) - math.log(sum(math.exp(logit - max(row)) for logit in row))
        for row, token in zip(rows[:-1], prompt[1:], strict=True)
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(openvino_settings):
    exact = (*openvino_settings.properties, ("KV_CACHE_PRECISION", "f32"))
    async with OpenVINOEngine.open(
        replace(openvino_settings, max_batched_tokens=64, properties=exact)
    ) as engine:
        yield engine


@pytest.mark.parametrize("prompt", [SHORT, LONG], ids=["short", "longer than one step reads"])
async def test_they_are_those_of_the_models_logits_though_the_prompt_is_cached(engine, prompt):
    plain = await collect(engine, prompt=prompt)
    for _ in range(2):
        steps = await collect(engine, prompt=prompt, sampling=WANTED)
        assert steps[0].prompt_logprobs == pytest.approx(await true_logprobs(prompt), abs=2e-3)
        assert not any(step.prompt_logprobs for step in steps[1:])
        assert ids(steps) == ids(plain)
        assert steps[-1].finish == "length"


async def test_a_prompt_of_one_token_has_none_and_one_new_token_is_enough(engine):
    (step,) = await collect(engine, prompt=(5,), sampling=WANTED, max_new_tokens=1)
    assert (step.prompt_logprobs, len(step.token_ids), step.finish) == ((), 1, "length")


async def test_requests_with_and_without_them_run_together(engine):
    samplings = [WANTED, Sampling(), replace(WANTED, do_sample=True, seed=3), Sampling()] * 3
    prompts = [(*SHORT, 20 + at) for at in range(len(samplings))]
    answers = await asyncio.gather(
        *(collect(engine, prompt, sampling) for prompt, sampling in zip(prompts, samplings, strict=True))
    )
    for sampling, steps in zip(samplings, answers, strict=True):
        assert len(steps[0].prompt_logprobs) == (6 if sampling.prefill_logprobs else 0)
        assert len(ids(steps)) == 12


async def test_they_come_beside_a_grammar(engine):
    grammar = Grammar("regex", "[ab]{3}")
    steps = await collect(engine, prompt=SHORT, sampling=replace(WANTED, grammar=grammar))
    assert len(steps[0].prompt_logprobs) == len(SHORT) - 1


async def test_beside_typical_p_they_are_refused_by_name(engine):
    wanted = replace(WANTED, do_sample=True, typical_p=0.9, top_k=5)
    with pytest.raises(Unsupported, match="prefill_logprobs"):
        await collect(engine, sampling=wanted)


async def test_no_end_comes_before_the_fewest_new_tokens(engine):
    plain = ids(await collect(engine, prompt=SHORT, max_new_tokens=4))
    ends = frozenset({plain[1]})
    short = await collect(engine, prompt=SHORT, sampling=Sampling(stop_token_ids=ends))
    assert len(ids(short)) == 2
    longer = await collect(engine, prompt=SHORT, sampling=Sampling(stop_token_ids=ends, min_new_tokens=5))
    assert len(ids(longer)) >= 5


async def test_a_high_min_p_leaves_only_the_likeliest(engine):
    greedy = ids(await collect(engine, prompt=SHORT))
    sampled = Sampling(do_sample=True, min_p=0.999, seed=1)
    assert ids(await collect(engine, prompt=SHORT, sampling=sampled)) == greedy
