"""The token path without a wire: deltas are the same however the engine batches its steps."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.toy_tokenizers import byte_level

from nearstream.core.errors import GenerationFailed
from nearstream.core.generation import Delta, EngineRequest, Sampling, Step
from nearstream.replica.calls import Call
from nearstream.replica.encoding import TextEncoder
from nearstream.replica.generation import deltas
from nearstream.replica.prompts import Prompt
from nearstream.replica.readiness import ServedModel
from nearstream.replica.scheduler import Priority, Scheduler
from nearstream.telemetry.tgi import TgiMetrics
from nearstream.text.tokenizer import SpecialTokens, Tokenizer

TOKENIZER = Tokenizer(byte_level(), SpecialTokens())
SAID = tuple(TOKENIZER.encode("the quick 😀 brown fox jumps", add_special_tokens=False))


class Batches:
    """Says given steps."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps

    async def generate(self, request: EngineRequest, *, on_end: object = None) -> AsyncGenerator[Step, None]:
        for step in self.steps:
            yield step

    async def healthy(self) -> bool:
        return True

    async def aclose(self) -> None: ...


async def answer(steps: Sequence[Step], **changes: Any) -> list[Delta]:
    options: dict[str, Any] = {
        "text": "hi",
        "ids": [1],
        "sampling": Sampling(),
        "max_new_tokens": 99,
        "stop": (),
    } | changes
    model = ServedModel(
        Batches(steps),
        TOKENIZER,
        TextEncoder(TOKENIZER),
        None,
        Scheduler(max_size=1, max_tokens=None, max_waiting=0),
    )
    metrics = TgiMetrics(max_input_tokens=99, max_total_tokens=99)
    call = Call("call", Priority.NORMAL, metrics=metrics, clock=time.perf_counter)
    return [delta async for delta in deltas(Prompt(**options), model, call)]


def cut(ids: Sequence[int], cuts: set[int]) -> list[Step]:
    edges = [0, *sorted(cuts), len(ids)]
    parts = [tuple(ids[a:b]) for a, b in itertools.pairwise(edges)]
    return [Step(part, (-1.0,) * len(part)) for part in parts[:-1]] + [
        Step(parts[-1], (-1.0,) * len(parts[-1]), "length")
    ]


@given(cuts=st.sets(st.integers(1, len(SAID) - 1)), stop=st.sampled_from(["", "quick", "brown fox", "\n"]))
async def test_however_steps_are_batched_the_deltas_are_the_same(cuts: set[int], stop: str):
    whole = await answer(cut(SAID, set()), stop=(stop,))
    assert await answer(cut(SAID, cuts), stop=(stop,)) == whole
    assert all(len(delta.tokens) == 1 for delta in whole)
    assert [delta.finish is not None for delta in whole] == [False] * (len(whole) - 1) + [True]


async def test_a_finish_without_a_token_still_ends_the_answer():
    said = await answer([Step(SAID[:2], (-1.0, -1.0)), Step((), (), "length")])
    assert [len(delta.tokens) for delta in said] == [1, 1, 0]
    assert said[-1].finish.generated_tokens == 2


async def test_an_engine_that_never_finishes_failed():
    with pytest.raises(GenerationFailed, match="without finishing"):
        await answer([Step(SAID[:2], (-1.0, -1.0))])


async def test_a_character_cut_off_by_the_limit_is_one_replacement_in_the_last_token(tmp_path: Path):
    ids = TOKENIZER.encode("a🦀", add_special_tokens=False)
    said = await answer(cut(ids, set()), max_new_tokens=len(ids) - 1)
    assert "".join(token.text for delta in said for token in delta.tokens) == "a\ufffd"
    assert said[-1].finish.reason == "length"
