"""Requests that continue one history differently at the same moment are each answered as if alone."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from tests.contract.engines.asking import collect, ids

from nearstream.engines.openvino.engine import OpenVINOEngine


async def test_two_that_branch_from_a_cached_history_do_not_write_over_each_other(openvino_settings):
    chance, asked, answered = random.Random(5), [], []
    async with OpenVINOEngine.open(openvino_settings) as engine:
        for _ in range(6):
            prompt = tuple(chance.randrange(10, 4000) for _ in range(chance.randrange(5, 90)))
            first = await collect(engine, prompt, max_new_tokens=chance.randrange(1, 20))
            branches = [(*prompt, *ids(first), *chance.sample(range(10, 4000), 3)) for _ in range(3)]
            answers = await asyncio.gather(*(collect(engine, one, max_new_tokens=20) for one in branches))
            asked += branches
            answered += [ids(answer) for answer in answers]
    async with OpenVINOEngine.open(replace(openvino_settings, prefix_caching=False)) as engine:
        assert answered == [ids(await collect(engine, one, max_new_tokens=20)) for one in asked]
