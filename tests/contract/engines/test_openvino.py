"""What the OpenVINO engine promises beyond the port: its process, its limits, its options."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import psutil
import pytest
from tests.contract.engines.asking import LONG, PROMPT, collect, drain, first_step, ids, until_healthy
from tests.support.waiting import until
from tokenizers import Tokenizer

from nearstream.core.errors import EngineDied, Invalid, NotReady, Unsupported, Unusable
from nearstream.core.generation import EngineRequest, Grammar, Sampling
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.engines.openvino.settings import OpenVINOSettings

SAMPLED = Sampling(do_sample=True, temperature=1.0)


@pytest.fixture
async def engine(openvino_settings):
    async with OpenVINOEngine.open(openvino_settings) as engine:
        yield engine


async def test_killing_the_process_fails_each_request_and_a_new_one_serves(openvino_settings):
    async with OpenVINOEngine.open(replace(openvino_settings, restart_delay_s=0.01, max_seqs=2)) as engine:
        running = [engine.generate(EngineRequest((n, 6, 7), Sampling(), LONG)) for n in (5, 6)]
        for answer in running:
            await first_step(answer)
        waiting = asyncio.ensure_future(collect(engine))
        await until(lambda: engine.waiting == 1)
        before = engine.pid
        os.kill(before, signal.SIGKILL)
        for end in (*(drain(answer) for answer in running), waiting):
            with pytest.raises(EngineDied, match="SIGKILL"):
                await end
        assert not await engine.healthy()
        with pytest.raises(NotReady):
            await collect(engine)
        await until_healthy(engine)
        assert engine.pid != before
        assert len(ids(await collect(engine))) == 12


async def test_an_answer_is_made_to_its_end_though_its_reader_waits_and_holds_nobody_up(openvino_settings):
    async with OpenVINOEngine.open(replace(openvino_settings, max_seqs=1)) as engine:
        made = asyncio.Event()
        slow = engine.generate(EngineRequest(PROMPT, Sampling(), LONG), on_end=made.set)
        taken = [await first_step(slow)]
        assert not made.is_set()
        assert len(ids(await collect(engine))) == 12  # there is one place: the slow one has left it
        assert made.is_set()
        taken += [step async for step in slow]
        assert len(ids(taken)) == LONG


async def test_a_request_that_dies_with_its_process_is_told_to_have_ended(openvino_settings):
    async with OpenVINOEngine.open(openvino_settings) as engine:
        ended = asyncio.Event()
        answer = engine.generate(EngineRequest(PROMPT, Sampling(), LONG), on_end=ended.set)
        await first_step(answer)
        os.kill(engine.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            await ended.wait()
        with pytest.raises(EngineDied):
            await drain(answer)


CANCELS = """
import sys
from array import array
from nearstream.engines.openvino import pipeline
from nearstream.engines.openvino.frames import Advance, Load, Options, Submit

batch, _ = pipeline.load(Load(sys.argv[1], 64, 512, 8, True, None, {}))
batch.submit(Submit(7, array("q", range(3, 12)).tobytes(), Options(int(sys.argv[2]))))
assert [advance.id for _ in range(3) for advance in batch.step().advances] == [7, 7, 7]
batch.cancel(7)
assert batch.step().advances == [Advance(7, (), (), "cancelled")]
assert not batch.busy
"""


async def test_a_cancelled_request_holds_nothing_after_one_step(openvino_settings):
    """In a process of its own: one that has loaded OpenVINO breaks when it handles a signal."""
    script = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CANCELS,
        str(openvino_settings.model),
        str(LONG),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, said = await script.communicate()
    assert script.returncode == 0, said.decode()


async def test_no_process_outlives_the_engine(openvino_settings):
    async with OpenVINOEngine.open(openvino_settings) as engine:
        worker = psutil.Process(engine.pid)
        answer = engine.generate(EngineRequest(PROMPT, Sampling(), LONG))
        await first_step(answer)
        await answer.aclose()
    assert not worker.is_running()


async def test_a_failing_user_of_the_engine_gets_its_own_error_and_leaves_no_process(openvino_settings):
    workers: list[psutil.Process] = []

    async def fail() -> None:
        async with OpenVINOEngine.open(openvino_settings) as engine:
            workers.append(psutil.Process(engine.pid))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert [worker.is_running() for worker in workers] == [False]


async def test_a_folder_without_a_model_is_unusable_in_the_loaders_words(tmp_path):
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    with pytest.raises(Unusable, match=r"could not be loaded: .+"):
        async with OpenVINOEngine.open(OpenVINOSettings(tmp_path)):
            pass


async def test_a_request_that_can_never_fit_is_refused(openvino_settings):
    small = replace(openvino_settings, kv_cache_bytes=4 * 32 * openvino_settings.kv_bytes_per_token)
    async with OpenVINOEngine.open(small) as engine:
        assert engine.request_tokens == 128
        with pytest.raises(Invalid, match="128"):
            await collect(engine, prompt=tuple(range(3, 103)), max_new_tokens=29)
        assert len(ids(await collect(engine, prompt=tuple(range(3, 103)), max_new_tokens=28))) == 28


async def test_requests_that_fit_only_one_by_one_all_end_well(openvino_settings):
    small = replace(openvino_settings, kv_cache_bytes=4 * 32 * openvino_settings.kv_bytes_per_token)
    async with OpenVINOEngine.open(small) as engine:
        prompts = [tuple(range(3 + n, 63 + n)) for n in range(6)]
        answers = await asyncio.gather(*(collect(engine, prompt=p, max_new_tokens=60) for p in prompts))
        assert [len(ids(steps)) for steps in answers] == [60] * 6


async def test_a_foreign_token_id_is_refused_and_the_others_go_on(openvino_settings):
    async with OpenVINOEngine.open(replace(openvino_settings, vocab_size=300)) as engine:
        good = asyncio.ensure_future(collect(engine, max_new_tokens=60))
        for foreign in (300, -1):
            with pytest.raises(Invalid, match=str(foreign)):
                await collect(engine, prompt=(5, foreign))
        assert len(ids(await good)) == 60


async def test_a_seed_repeats_an_answer_alone_and_in_company(engine):
    seeded = replace(SAMPLED, seed=42)
    alone = ids(await collect(engine, sampling=seeded))
    others = [collect(engine, prompt=(40 + n, 3), sampling=SAMPLED) for n in range(3)]
    together = (await asyncio.gather(collect(engine, sampling=seeded), *others))[0]
    assert ids(together) == alone


async def test_without_a_seed_answers_differ(engine):
    hot = replace(SAMPLED, temperature=5.0)
    answers = await asyncio.gather(*(collect(engine, sampling=hot) for _ in range(4)))
    assert len({tuple(ids(steps)) for steps in answers}) > 1


@pytest.mark.parametrize(
    "penalty",
    [
        {"repetition_penalty": 5.0},
        {"frequency_penalty": 2.0},
        {"presence_penalty": 2.0},
    ],
    ids=lambda p: next(iter(p)),
)
async def test_a_penalty_makes_an_answer_repeat_itself_less(engine, penalty):
    plain = ids(await collect(engine, max_new_tokens=80))
    penalised = ids(await collect(engine, sampling=Sampling(**penalty), max_new_tokens=80))
    assert len(set(penalised)) > len(set(plain))


async def test_logprobs_are_the_models_own_whatever_the_temperature(engine):
    greedy = await collect(engine, max_new_tokens=4)
    cold = await collect(engine, sampling=replace(SAMPLED, top_k=1, temperature=0.3), max_new_tokens=4)
    assert ids(cold) == ids(greedy)
    for one, other in zip(greedy, cold, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)


async def test_a_range_that_openvino_refuses_fails_that_request_alone(engine):
    good = asyncio.ensure_future(collect(engine, max_new_tokens=60))
    with pytest.raises(Invalid, match="temperature"):
        await collect(engine, sampling=replace(SAMPLED, temperature=-1.0))
    assert len(ids(await good)) == 60


@pytest.mark.parametrize("top_n", [Sampling(top_n_tokens=2), replace(SAMPLED, top_n_tokens=1)])
async def test_alternatives_to_the_chosen_token_are_refused(engine, top_n):
    with pytest.raises(Unsupported, match="top_n_tokens"):
        await collect(engine, sampling=top_n)


def text_of(settings: OpenVINOSettings, token_ids: list[int]) -> str:
    return Tokenizer.from_file(str(settings.model / "tokenizer.json")).decode(token_ids)


@pytest.fixture
def with_grammar(openvino_settings):
    if not (openvino_settings.model / "openvino_tokenizer.xml").is_file():
        pytest.skip("the built-in model has no openvino_tokenizer.xml")
    eos = json.loads((openvino_settings.model / "config.json").read_text())["eos_token_id"]
    return lambda kind, source: Sampling(grammar=Grammar(kind, source), stop_token_ids=frozenset({eos}))


async def test_a_regular_expression_rules_the_text(engine, openvino_settings, with_grammar):
    steps = await collect(engine, sampling=with_grammar("regex", "[0-9]{3}-[abc]z"))
    assert steps[-1].finish == "eos"
    text = text_of(openvino_settings, ids(steps)[:-1])
    assert len(text) == 6 and text[:3].isdigit() and text[3] == "-" and text[5] == "z"


async def test_a_json_schema_rules_the_text(engine, openvino_settings, with_grammar):
    schema: dict[str, Any] = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    schema["additionalProperties"] = False
    steps = await collect(engine, sampling=with_grammar("json_schema", json.dumps(schema)), max_new_tokens=64)
    assert steps[-1].finish == "eos"
    assert isinstance(json.loads(text_of(openvino_settings, ids(steps)[:-1]))["ok"], bool)


@pytest.mark.parametrize("seed", range(3))
async def test_a_json_schema_leaves_no_room_for_more_than_one_blank(
    engine, openvino_settings, with_grammar, seed: int
):
    """So hot that each token that the grammar allows is about as likely as any other."""
    place = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    schema = {
        "type": "object",
        "properties": {"at": {"type": "array", "items": {"$ref": "#/$defs/place"}, "maxItems": 3}}
        | {key: {"enum": ["a", None, 1]} for key in "abc"},
        "required": ["at", "b"],
        "$defs": {"place": place},
    }
    held = with_grammar("json_schema", json.dumps(schema))
    hot = replace(held, do_sample=True, temperature=5.0, seed=seed)
    steps = await collect(engine, sampling=hot, max_new_tokens=200)
    text = text_of(openvino_settings, ids(steps)[:-1])
    assert (steps[-1].finish, "  " in text, "\n" in text, "\t" in text) == ("eos", False, False, False)
    said = json.loads(text)
    assert {"at", "b"} <= said.keys() <= {"at", "a", "b", "c"}
    assert all(isinstance(found["x"], int) for found in said["at"])


async def test_a_json_schema_beyond_that_grammar_rules_the_text_too(engine, openvino_settings, with_grammar):
    held = with_grammar("json_schema", '{"type": "string", "pattern": "^[0-9]{3}$"}')
    steps = await collect(engine, sampling=held)
    assert re.fullmatch('"[0-9]{3}"', text_of(openvino_settings, ids(steps)[:-1]))


@pytest.mark.parametrize(("kind", "source"), [("regex", "((("), ("json_schema", "{{{")])
async def test_a_grammar_that_cannot_be_used_fails_that_request_alone(engine, with_grammar, kind, source):
    plain = ids(await collect(engine, max_new_tokens=200))
    async with aclosing(engine.generate(EngineRequest(PROMPT, Sampling(), 200))) as answer:
        begun = [await first_step(answer)]
        with pytest.raises(Invalid, match="grammar"):
            await collect(engine, sampling=with_grammar(kind, source))
        assert ids(begun + [step async for step in answer]) == plain


async def test_grammars_that_can_be_used_are_not_blamed_for_one_that_cannot(engine, with_grammar):
    good, bad = with_grammar("regex", "[a-c]{5}"), with_grammar("regex", "(((")
    wanted = [good, bad, good, good, bad, good]
    answers = await asyncio.gather(
        *(collect(engine, sampling=sampling, max_new_tokens=30) for sampling in wanted),
        return_exceptions=True,
    )
    assert [isinstance(answer, Invalid) for answer in answers] == [sampling is bad for sampling in wanted]
    assert len({tuple(ids(answer)) for answer in answers if isinstance(answer, list)}) == 1


async def test_a_grammar_without_the_tokenizers_model_is_refused(openvino_settings, tmp_path):
    for file in openvino_settings.model.iterdir():
        if file.is_file() and "tokenizer." not in file.name.replace("detokenizer", "tokenizer"):
            (tmp_path / file.name).symlink_to(file)
    async with OpenVINOEngine.open(replace(openvino_settings, model=tmp_path)) as engine:
        with pytest.raises(Unsupported, match=r"openvino_tokenizer\.xml"):
            await collect(engine, sampling=Sampling(grammar=Grammar("regex", "a")))


STARTS_AN_ENGINE = """
import asyncio, pathlib, sys
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.engines.openvino.settings import OpenVINOSettings

async def main():
    settings = OpenVINOSettings(pathlib.Path(sys.argv[1]), kv_cache_bytes=1 << 26)
    async with OpenVINOEngine.open(settings) as engine:
        sys.stderr.write(f"{engine.pid}\\n")
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_process_ends_when_the_one_that_started_it_is_killed(openvino_settings):
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        STARTS_AN_ENGINE,
        str(openvino_settings.model),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        worker = psutil.Process(int(await parent.stderr.readline()))
    parent.kill()
    await parent.wait()
    await until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
