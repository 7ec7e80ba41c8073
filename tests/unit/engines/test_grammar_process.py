"""Grammars are written in a process of their own, which is ended when it takes too long."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from nearstream.core.errors import Invalid
from nearstream.core.generation import Grammar
from nearstream.engines import grammar_process
from nearstream.engines.grammar_process import GrammarProcess, answer
from nearstream.grammars.compiled import MOST_SOURCE_BYTES


@pytest.fixture
async def process():
    process = GrammarProcess()
    yield process
    await process.aclose()


async def test_a_grammar_is_written_once_and_kept(process):
    first = await process.ebnf(Grammar("regex", "a|b"))
    assert first.startswith("root ::= ")
    await process.aclose()
    assert await process.ebnf(Grammar("regex", "a|b")) == first
    assert process._process is None


async def test_a_refusal_is_told_in_its_own_words_and_kept_too(process):
    for _ in range(2):
        with pytest.raises(Invalid, match=r"`multipleOf` at #: 0\.1 is not supported"):
            await process.ebnf(Grammar("json_schema", '{"multipleOf": 0.1}'))


async def test_one_that_takes_too_long_is_refused_and_the_next_one_is_written():
    process = GrammarProcess(limit_s=0.001)
    try:
        with pytest.raises(Invalid, match=r"too large: it takes more than 0\.001 s"):
            await process.ebnf(Grammar("regex", "(a|b)*a(a|b){10}"))
        process._limit_s = 20.0
        assert await process.ebnf(Grammar("regex", "a"))
    finally:
        await process.aclose()


async def test_a_process_that_is_gone_is_started_again(process):
    await process.ebnf(Grammar("regex", "a"))
    process._process.kill()
    await process._process.wait()
    assert await process.ebnf(Grammar("regex", "b"))


async def test_a_caller_that_leaves_does_not_mix_up_the_answers(process):
    await process.ebnf(Grammar("regex", "a"))
    leaving = asyncio.ensure_future(process.ebnf(Grammar("regex", "[a-z]{1,900}y")))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert '"b"' in (await process.ebnf(Grammar("regex", "b"))).replace("[b]", '"b"')


def test_one_that_takes_too_much_of_a_processor_is_refused(monkeypatch):
    monkeypatch.setattr(grammar_process, "WRITE_LIMIT_S", 0.02)
    signal.signal(signal.SIGPROF, grammar_process._out_of_time)
    assert "too large: it takes more than 0.02 s to read" in answer('["regex", "(a|b)*a(a|b){10}"]')


async def test_a_source_that_is_too_long_is_refused_before_anything_is_started(process):
    began = time.perf_counter()
    with pytest.raises(Invalid, match="its text has more than"):
        await process.ebnf(Grammar("json_schema", '"' + "x" * MOST_SOURCE_BYTES + '"'))
    assert time.perf_counter() - began < 0.5
    assert process._process is None


async def test_what_is_kept_has_a_bound(process, monkeypatch):
    monkeypatch.setattr(grammar_process, "_KEPT_BYTES", 200)
    for n in range(20):
        await process.ebnf(Grammar("regex", f"a{n}"))
    assert len(process._kept) < 20


def test_the_process_answers_a_line_with_a_line():
    assert answer('["regex", "a"]') == '["root ::= \\"a\\"\\n", null]'
    assert answer('["regex", "("]') == '[null, "grammar is not valid: a `)` is missing"]'
