"""What an engine promises that hosts adapters: each answer has its own, whatever runs beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from tests.contract.engines.asking import LONG, PROMPT, Limits, collect, first_step, ids, until_healthy
from tests.support.lora import noise, saying, write_safetensors
from tests.support.waiting import until

from nearstream.core.errors import Conflict, EngineDied, Missing, Unsupported, Unusable
from nearstream.core.generation import EngineRequest, Sampling
from nearstream.engines.openvino.engine import OpenVINOEngine

PARROT, OWL = Sampling(adapter="parrot"), Sampling(adapter="owl")


@pytest.fixture
def weights(tmp_path):
    """Of an adapter that says 77 and of one that says 99."""
    return [write_safetensors(tmp_path / f"{token}.safetensors", saying(token)) for token in (77, 99)]


async def test_an_answer_with_an_adapter_is_another_and_without_it_the_same(open_engine, weights):
    async with open_engine() as engine:
        plain = ids(await collect(engine))
        await engine.load_adapter("parrot", weights[0])
        assert engine.adapters() == {"parrot"}
        assert ids(await collect(engine, sampling=PARROT)) == [77] * 12
        assert ids(await collect(engine)) == plain


async def test_answers_at_once_have_their_own_adapter_each(open_engine, weights):
    async with open_engine() as engine:
        plain = ids(await collect(engine))
        await engine.load_adapter("parrot", weights[0])
        await engine.load_adapter("owl", weights[1])
        asked = [Sampling(), PARROT, OWL, PARROT, Sampling(), OWL]
        answers = await asyncio.gather(*(collect(engine, sampling=sampling) for sampling in asked))
        said = {None: plain, "parrot": [77] * 12, "owl": [99] * 12}
        assert [ids(steps) for steps in answers] == [said[sampling.adapter] for sampling in asked]


async def test_the_base_model_answers_while_an_adapter_does(open_engine, weights):
    async with open_engine() as engine:
        await engine.load_adapter("parrot", weights[0])
        async with aclosing(engine.generate(EngineRequest(PROMPT, PARROT, LONG))) as long:
            await first_step(long)
            await collect(engine)
            assert engine.live == 1


async def test_an_adapter_comes_and_goes_under_traffic(open_engine, weights):
    async with open_engine() as engine:
        plain = ids(await collect(engine, max_new_tokens=LONG))
        running = [asyncio.ensure_future(collect(engine, max_new_tokens=LONG)) for _ in range(3)]
        await engine.load_adapter("parrot", weights[0])
        assert ids(await collect(engine, sampling=PARROT)) == [77] * 12
        await engine.unload_adapter("parrot")
        assert [ids(await answer) for answer in running] == [plain] * 3
        with pytest.raises(Unsupported):
            await collect(engine, sampling=PARROT)


async def test_an_adapter_unloaded_in_use_ends_its_answers_and_its_name_is_free(open_engine, weights):
    async with open_engine() as engine:
        await engine.load_adapter("parrot", weights[0])
        used = asyncio.ensure_future(collect(engine, sampling=PARROT, max_new_tokens=LONG))
        await until(lambda: engine.live == 1)
        await engine.unload_adapter("parrot")
        assert engine.adapters() == frozenset()
        await engine.load_adapter("parrot", weights[1])
        assert ids(await collect(engine, sampling=PARROT)) == [99] * 12
        assert ids(await used) == [77] * LONG


async def test_a_name_is_given_once_and_taken_once(open_engine, weights):
    async with open_engine() as engine:
        await engine.load_adapter("parrot", weights[0])
        with pytest.raises(Conflict, match="parrot"):
            await engine.load_adapter("parrot", weights[1])
        await engine.unload_adapter("parrot")
        with pytest.raises(Missing, match="parrot"):
            await engine.unload_adapter("parrot")


async def test_weights_that_are_not_there_are_unusable_and_the_engine_serves_on(open_engine, tmp_path):
    async with open_engine() as engine:
        plain = ids(await collect(engine))
        with pytest.raises(Unusable):
            await engine.load_adapter("parrot", tmp_path / "nothing.safetensors")
        assert engine.adapters() == frozenset()
        assert ids(await collect(engine)) == plain


async def test_an_answer_that_waits_for_another_adapters_turn_can_be_left(open_engine, weights):
    async with open_engine(Limits(max_seqs=4)) as engine:
        await engine.load_adapter("parrot", weights[0])
        await engine.load_adapter("owl", weights[1])
        long = engine.generate(EngineRequest(PROMPT, PARROT, LONG))
        await first_step(long)
        waiting = asyncio.ensure_future(collect(engine, sampling=OWL, max_new_tokens=LONG))
        await until(lambda: engine.live == 2)
        waiting.cancel()
        await asyncio.wait([waiting])
        await until(lambda: engine.live == 1)
        await long.aclose()
        assert ids(await collect(engine, sampling=OWL)) == [99] * 12


async def test_every_adapter_has_its_turn_while_others_keep_coming(open_engine, weights):
    async with open_engine() as engine:
        await engine.load_adapter("parrot", weights[0])
        await engine.load_adapter("owl", weights[1])
        stop = asyncio.Event()

        async def chatter() -> None:
            while not stop.is_set():
                await collect(engine, sampling=PARROT, max_new_tokens=40)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(chatter())
            await until(lambda: engine.live == 3)
            async with asyncio.timeout(20):
                assert ids(await collect(engine, sampling=OWL)) == [99] * 12
            stop.set()


async def test_adapters_outlive_the_models_process(openvino_settings, weights):
    async with OpenVINOEngine.open(replace(openvino_settings, restart_delay_s=0.01)) as engine:
        await engine.load_adapter("parrot", weights[0])
        used = asyncio.ensure_future(collect(engine, sampling=PARROT, max_new_tokens=LONG))
        await until(lambda: engine.live == 1)
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(EngineDied):
            await used
        await until_healthy(engine)
        assert ids(await collect(engine, sampling=PARROT)) == [77] * 12


async def test_a_load_that_is_given_up_leaves_its_name_and_the_engine_free(openvino_settings, weights):
    async with OpenVINOEngine.open(openvino_settings) as engine:
        for _ in range(2):
            given_up = asyncio.ensure_future(engine.load_adapter("parrot", weights[0]))
            await collect(engine)
            given_up.cancel()
            await asyncio.wait([given_up])
        assert engine.adapters() == frozenset()
        await engine.load_adapter("parrot", weights[1])
        assert ids(await collect(engine, sampling=PARROT)) == [99] * 12


async def test_two_lanes_answer_for_two_adapters_side_by_side(openvino_settings, weights):
    async with OpenVINOEngine.open(replace(openvino_settings, adapter_pipelines=2)) as engine:
        await engine.load_adapter("parrot", weights[0])
        await engine.load_adapter("owl", weights[1])
        async with aclosing(engine.generate(EngineRequest(PROMPT, PARROT, LONG))) as long:
            await first_step(long)
            assert ids(await collect(engine, sampling=OWL)) == [99] * 12
            assert engine.live == 1


async def test_a_model_that_names_no_modules_takes_no_adapters(openvino_settings, weights):
    async with OpenVINOEngine.open(replace(openvino_settings, adaptable={})) as engine:
        with pytest.raises(Unusable, match="takes no adapters"):
            await engine.load_adapter("parrot", weights[0])


FOLDS = """
import shutil, sys
import numpy as np
import openvino
from openvino import opset13

model, target, arrays = sys.argv[1], sys.argv[2], np.load(sys.argv[3])
graph = openvino.Core().read_model(model + "/openvino_model.xml")
for op in graph.get_ordered_ops():
    name = op.get_friendly_name().removeprefix("__module.").split("/")[0]
    first = f"base_model.model.{name}.lora_A.weight"
    if op.get_type_name() == "MatMul" and first in arrays:
        weight = op.input(1).get_source_output().get_node()
        while weight.get_type_name() != "Constant":
            weight = weight.input(0).get_source_output().get_node()
        change = arrays[first.replace("lora_A", "lora_B")] @ arrays[first]
        folded = opset13.constant((weight.get_data().astype(np.float32) + change).astype(np.float32))
        op.input(1).replace_source_output(folded.output(0))
shutil.copytree(model, target)
openvino.save_model(graph, target + "/openvino_model.xml", compress_to_fp16=False)
"""


async def test_an_adapter_answers_as_the_model_does_with_the_change_folded_into_its_weights(
    openvino_settings, tmp_path
):
    """Folded in a process of its own: one that has loaded OpenVINO breaks when it handles a signal."""
    arrays, folded = noise(1), tmp_path / "folded"
    np.savez(tmp_path / "arrays.npz", **cast(dict[str, Any], arrays))
    command = (sys.executable, "-c", FOLDS, str(openvino_settings.model), str(folded))
    fold = await asyncio.create_subprocess_exec(
        *command, str(tmp_path / "arrays.npz"), stderr=asyncio.subprocess.PIPE
    )
    _, said = await fold.communicate()
    assert fold.returncode == 0, said.decode()
    async with OpenVINOEngine.open(replace(openvino_settings, model=folded)) as engine:
        wanted = ids(await collect(engine, max_new_tokens=40))
    async with OpenVINOEngine.open(openvino_settings) as engine:
        plain = ids(await collect(engine, max_new_tokens=40))
        await engine.load_adapter("noise", write_safetensors(tmp_path / "noise.safetensors", arrays))
        answer = ids(await collect(engine, sampling=Sampling(adapter="noise"), max_new_tokens=40))
    assert answer == wanted
    assert answer != plain


async def test_a_long_prompt_is_not_answered_from_another_adapters_cache(open_engine, weights, tmp_path):
    prompt = tuple(range(3, 103))
    async with open_engine() as engine:
        plain = ids(await collect(engine, prompt=prompt))
        await engine.load_adapter("parrot", weights[0])
        noisy = write_safetensors(tmp_path / "noise.safetensors", noise(1))
        await engine.load_adapter("owl", noisy)
        fresh = ids(await collect(engine, prompt=prompt, sampling=OWL))
        await collect(engine, prompt=prompt, sampling=PARROT)
        assert ids(await collect(engine, prompt=prompt, sampling=OWL)) == fresh
        assert ids(await collect(engine, prompt=prompt)) == plain
