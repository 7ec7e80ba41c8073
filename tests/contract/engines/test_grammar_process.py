"""Grammars are written in a process of their own, which is ended when one takes too much."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import psutil
import pytest
from tests.support.waiting import until

from nearstream.core.errors import Invalid, NotReady, Overloaded
from nearstream.core.generation import Grammar
from nearstream.engines.grammars.process import LIMITS, MODULE, grammar_process
from nearstream.engines.grammars.worker import answer
from nearstream.grammars.compiled import MOST_SOURCE_BYTES

# Takes 15 s.
HEAVY = Grammar("json_schema", json.dumps({"enum": [str(n * 7919) for n in range(20_000)]}))


def children() -> list[psutil.Process]:
    def is_one(process: psutil.Process) -> bool:
        try:
            return MODULE in process.cmdline()
        except psutil.Error:
            return False

    return [child for child in psutil.Process().children() if is_one(child)]


async def killed() -> None:
    (child,) = children()
    child.kill()
    await until(lambda: not child.is_running())


@pytest.fixture
async def process():
    async with grammar_process() as process:
        yield process


async def test_a_grammar_is_written_once_and_kept(process):
    first = await process.ebnf(Grammar("regex", "a|b"))
    assert first.startswith("root ::= ")
    await killed()
    assert await process.ebnf(Grammar("regex", "a|b")) == first
    assert children() == []


async def test_many_at_once_with_one_grammar_have_it_written_once():
    async with grammar_process(limits=replace(LIMITS, max_waiting=1)) as process:
        written = await asyncio.gather(*(process.ebnf(Grammar("regex", "a|b")) for _ in range(40)))
    assert len(set(written)) == 1


async def test_nothing_is_started_before_the_first_grammar(process):
    assert children() == []


async def test_a_refusal_is_told_in_its_own_words_and_kept_too(process):
    for _ in range(2):
        with pytest.raises(Invalid, match=r"`multipleOf` at #: 0\.1 is not supported"):
            await process.ebnf(Grammar("json_schema", '{"multipleOf": 0.1}'))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (replace(LIMITS, time_s=0.3, processor_s=None), r"it takes longer than 0\.3 s;"),
        (replace(LIMITS, processor_s=0.1), r"it takes longer than 0\.1 s of a processor's time"),
    ],
    ids=["time", "a processor's time"],
)
async def test_one_that_oversteps_is_refused_each_time_and_the_next_one_is_written(limits, reason):
    async with grammar_process(limits=limits) as process:
        for _ in range(2):
            with pytest.raises(Invalid, match=f"too large: {reason}"):
                await process.ebnf(HEAVY)
        assert await process.ebnf(Grammar("regex", "a"))


async def test_a_process_that_is_gone_is_started_again(process):
    await process.ebnf(Grammar("regex", "a"))
    await killed()
    assert await process.ebnf(Grammar("regex", "b"))


async def test_a_caller_that_leaves_does_not_mix_up_the_answers(process):
    await process.ebnf(Grammar("regex", "a"))
    leaving = asyncio.ensure_future(process.ebnf(HEAVY))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert '"b"' in (await process.ebnf(Grammar("regex", "b"))).replace("[b]", '"b"')


async def test_the_queue_has_a_bound_and_a_refusal_by_it_is_not_kept():
    async with grammar_process(limits=replace(LIMITS, max_waiting=1)) as process:
        waiting = asyncio.ensure_future(process.ebnf(Grammar("regex", "a")))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="1 calls wait"):
            await process.ebnf(Grammar("regex", "b"))
        await waiting
        assert await process.ebnf(Grammar("regex", "b"))


async def test_one_that_waits_at_the_end_is_told_so():
    async with grammar_process() as process:
        waiting = [asyncio.ensure_future(process.ebnf(Grammar("regex", f"a{n}"))) for n in range(3)]
        await asyncio.sleep(0)
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in told] == [NotReady] * 3
    assert children() == []


async def test_a_source_that_is_too_long_is_refused_before_anything_is_started(process):
    began = time.perf_counter()
    with pytest.raises(Invalid, match="its text has more than"):
        await process.ebnf(Grammar("json_schema", '"' + "x" * MOST_SOURCE_BYTES + '"'))
    assert time.perf_counter() - began < 0.5
    assert children() == []


async def test_what_is_kept_has_a_bound():
    async with grammar_process(kept_bytes=2000) as process:
        for n in range(20):
            await process.ebnf(Grammar("regex", f"a{n}"))
        assert 2 < len(process._kept) < 8


def test_the_process_answers_a_call_with_a_grammar_or_a_refusal():
    assert answer(b"") == b""
    assert answer(b'["regex", "a"]') == b'["root ::= \\"a\\"\\n", null]'
    assert answer(b'["regex", "("]') == b'[null, "grammar is not valid: a `)` is missing"]'
