"""Grammars on the real engine: what it writes meets them, and none of them holds up its neighbours."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from dataclasses import replace

import jsonschema
import pytest
from tests.contract.engines.asking import collect, first_step, ids
from tests.support.waiting import until
from tests.unit.grammars.idioms import IDIOMS
from tokenizers import Tokenizer

from nearstream.core.errors import Invalid, Overloaded
from nearstream.core.generation import EngineRequest, Grammar, Sampling
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.tasks import alongside

SAMPLE = (
    "zod object", "zod nullable", "zod tuple", "rating of five", "pydantic model", "pydantic union",
    "recursive tree",
    "OpenAI strict", "annotations", "formats", "price", "quarter hours",
    "pattern with lengths", "exactly one of",
    "if then else", "names of members", "contains", "few members", "pydantic set of an enum",
)  # fmt: skip
BOMBS = ("((a{1,1000}){1,1000}){1,1000}", "(x{1000}){1000}", "(a|b)*a(a|b){20}")
HEAVY = r"[^\n]{1,120}x[^\n]{1,120}"


@pytest.fixture(scope="module")
def settings(openvino_settings):
    if not (openvino_settings.model / "openvino_tokenizer.xml").is_file():
        pytest.skip("the built-in model has no openvino_tokenizer.xml")
    return openvino_settings


@pytest.fixture
async def engine(settings):
    async with OpenVINOEngine.open(settings) as engine:
        yield engine


@pytest.fixture(scope="module")
def held(settings):
    eos = json.loads((settings.model / "config.json").read_text())["eos_token_id"]
    return lambda kind, source: Sampling(grammar=Grammar(kind, source), stop_token_ids=frozenset({eos}))


async def test_what_the_model_writes_meets_the_schema(engine, settings, held):
    """So hot that each token that the grammar allows is about as likely as any other."""
    tokenizer = Tokenizer.from_file(str(settings.model / "tokenizer.json"))
    finished = 0
    for name, seed in itertools.product(SAMPLE, range(2)):
        sampling = replace(
            held("json_schema", json.dumps(IDIOMS[name])), do_sample=True, temperature=3.0, seed=seed
        )
        steps = await collect(engine, sampling=sampling, max_new_tokens=300)
        if steps[-1].finish == "eos":
            finished += 1
            text = tokenizer.decode(ids(steps)[:-1])
            jsonschema.Draft202012Validator(IDIOMS[name]).validate(json.loads(text))
    assert finished >= len(SAMPLE)


async def gaps(engine, running: asyncio.Event) -> list[float]:
    """The seconds between the tokens of a plain answer."""
    stream = engine.generate(EngineRequest((5, 6, 7), Sampling(), 900))
    await first_step(stream)
    running.set()
    times = [time.perf_counter()]
    times += [time.perf_counter() async for _ in stream]
    return [after - before for before, after in itertools.pairwise(times)]


async def test_a_bomb_is_refused_within_a_second_and_nobody_waits_for_it(engine, held):
    running = asyncio.Event()
    neighbour = asyncio.ensure_future(gaps(engine, running))
    await running.wait()
    for bomb in BOMBS:
        began = time.perf_counter()
        with pytest.raises(Invalid, match="too large"):
            await collect(engine, sampling=held("regex", bomb))
        assert time.perf_counter() - began < 3  # a tenth of it alone
    assert max(await neighbour) < 1  # 10 ms alone


async def test_a_heavy_grammar_is_compiled_beside_the_tokens_of_others(engine, held):
    running = asyncio.Event()
    neighbour = asyncio.ensure_future(gaps(engine, running))
    await running.wait()
    steps = await collect(engine, sampling=held("regex", HEAVY), max_new_tokens=20)
    assert ids(steps)
    assert max(await neighbour) < 1


async def test_a_request_that_leaves_while_its_grammar_is_compiled_holds_nothing(engine, held):
    leaving = asyncio.ensure_future(collect(engine, sampling=held("regex", HEAVY + "x"), max_new_tokens=20))
    await asyncio.sleep(0.05)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert len(ids(await collect(engine))) == 12
    assert engine.live == 0


async def many_grammars(engine, held) -> None:
    for n in range(60):
        sampling = held("regex", rf"[^\n]{{1,60}}x{n}[^\n]{{1,60}}")
        await collect(engine, sampling=sampling, max_new_tokens=2)


async def kept_busy(engine, max_new_tokens):
    while True:
        await collect(engine, max_new_tokens=max_new_tokens)


async def test_once_grammars_fill_their_memory_new_ones_wait_for_an_idle_engine(settings, held):
    async with OpenVINOEngine.open(replace(settings, grammar_bytes=4 << 20)) as engine:
        first, known = engine.pid, held("regex", "[ab]{1,20}")
        # Of lengths that do not end together: there is always one under way.
        async with alongside(*(kept_busy(engine, length) for length in (997, 641, 383, 211))):
            await collect(engine, sampling=known, max_new_tokens=2)
            with pytest.raises(Overloaded, match="the grammars in use take 4 MiB"):
                await many_grammars(engine, held)
            assert ids(await collect(engine, sampling=known, max_new_tokens=2))
            assert engine.pid == first
        await until(lambda: engine.pid != first)
        await until(engine.healthy)
        assert ids(await collect(engine, sampling=held("regex", "[cd]{1,20}"), max_new_tokens=2))


async def test_a_heavy_grammar_is_compiled_beside_the_tokens_also_where_the_vocabulary_is_not_told(engine):
    """The number of logits is in the model's own file."""
    assert engine._settings.vocab_size is None
    with pytest.raises(Invalid, match="token id 4096, the model's are 0 to 4095"):
        await collect(engine, prompt=(4096,))
