"""Encoding a prompt: the same ids as at once, and never more work than its limit is worth."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.replica.encoding import TextEncoder
from nearstream.text.tokenizer import Tokenizer, load_tokenizer

BUILTIN = Path(__file__).parents[3] / "src/nearstream/models/builtin"
TOKENIZER = load_tokenizer(BUILTIN)
LIMIT = 300


class Counted(Tokenizer):
    """Notes how much text it was given."""

    def __init__(self) -> None:
        self.characters = 0

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        self.characters += len(text)
        return TOKENIZER.encode(text, add_special_tokens=add_special_tokens)


@given(text=st.text(st.characters(codec="utf-8"), max_size=300), times=st.integers(1, 40))
async def test_a_prompt_within_the_limit_has_the_ids_of_the_whole_text(text: str, times: int):
    whole = TOKENIZER.encode(text * times, add_special_tokens=True)
    found = await TextEncoder(TOKENIZER).ids(text * times, add_special_tokens=True, limit=LIMIT)
    assert found == whole if len(whole) <= LIMIT else len(found) > LIMIT


@pytest.mark.parametrize("text", ["word " * 200_000, " " * 1_000_000, "é" * 500_000, "a1b2" * 300_000])
async def test_the_work_grows_with_the_limit_and_not_with_the_text(text: str):
    tokenizer = Counted()
    found = await TextEncoder(tokenizer).ids(text, add_special_tokens=False, limit=LIMIT)
    assert len(found) > LIMIT
    assert tokenizer.characters < 100_000


@pytest.mark.parametrize("keep", [1, 7, 200])
async def test_the_last_tokens_of_a_long_text_are_those_of_the_whole(keep: int):
    text = " ".join(f"What is {number} plus one? It is {number + 1}." for number in range(20_000))
    tokenizer = Counted()
    found = await TextEncoder(tokenizer).ids(text, add_special_tokens=False, limit=LIMIT, keep_last=keep)
    assert found == TOKENIZER.encode(text, add_special_tokens=False)[-keep:]
    assert tokenizer.characters < 20_000


async def test_the_loop_goes_on_while_a_long_text_is_encoded():
    text = " ".join(str(number) for number in range(200_000))
    encoding = asyncio.create_task(
        TextEncoder(TOKENIZER).ids(text, add_special_tokens=False, limit=len(text))
    )
    turns, started = 0, time.perf_counter()
    while not encoding.done():
        await asyncio.sleep(0)
        turns += 1
    took_s = time.perf_counter() - started
    assert len(await encoding) > LIMIT
    assert turns > took_s * 100
