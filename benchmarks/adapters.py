"""What adapters cost: memory, the base model's speed beside them, and how long a turn is waited for.

    python -m benchmarks.adapters [folder of a model]

Streams of `TOKENS` tokens on the engine itself, in its own process, without HTTP. The figures go to
benchmarks/results/adapters.json.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from array import array
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import psutil

from benchmarks import machine
from nearstream.core.generation import EngineRequest, Sampling, Step
from nearstream.engines.openvino.engine import OpenVINOEngine
from nearstream.engines.openvino.settings import OpenVINOSettings
from nearstream.formats import safetensors
from nearstream.models.builtin import builtin_path
from nearstream.models.lora.modules import Modules, adaptable_modules

TOKENS = 200
STREAMS = 8
RANK = 16
RESULTS = Path(__file__).parent / "results" / "adapters.json"
Figures = dict[str, float]


def write_adapter(base: Modules, path: Path, seed: int) -> Path:
    """An adapter of rank 16 for the attention of every layer, small enough to change little."""
    draw = random.Random(seed)
    tensors = {}
    for module, (outputs, inputs) in base.items():
        if "self_attn" not in module:
            continue
        for half, shape in (("A", (RANK, inputs)), ("B", (outputs, RANK))):
            numbers = array("f", (draw.gauss(0, 0.01) for _ in range(shape[0] * shape[1])))
            name = f"base_model.model.{module}.lora_{half}.weight"
            tensors[name] = safetensors.Tensor("F32", shape, numbers.tobytes())
    path.write_bytes(b"".join(safetensors.encode(tensors)))
    return path


def stream(engine: OpenVINOEngine, adapter: str | None, seed: int) -> AsyncGenerator[Step, None]:
    """One answer to a prompt of 32 tokens."""
    prompt = [random.Random(seed).randrange(2, 4000) for _ in range(32)]
    return engine.generate(EngineRequest(prompt, Sampling(adapter=adapter), TOKENS))


async def waits(engine: OpenVINOEngine, adapter: str | None, seed: int) -> list[float]:
    """Seconds before each token."""
    found, last = [], perf_counter()
    async with aclosing(stream(engine, adapter, seed)) as steps:
        async for _ in steps:
            now = perf_counter()
            found.append(now - last)
            last = now
    return found


async def tokens_per_second(engine: OpenVINOEngine, adapters: Sequence[str | None]) -> float:
    """Of one stream for each name, together; the better of two rounds."""
    best = 0.0
    for round_ in range(2):
        started = perf_counter()
        await asyncio.gather(*(waits(engine, name, 100 * round_ + n) for n, name in enumerate(adapters)))
        best = max(best, len(adapters) * TOKENS / (perf_counter() - started))
    return round(best, 1)


def memory_mb(engine: OpenVINOEngine) -> float:
    """What the model's process has to itself, and its share of what it has with others."""
    return round(float(psutil.Process(engine.pid).memory_full_info().pss) / 1e6, 1)


async def first_behind(engine: OpenVINOEngine, adapter: str, busy: str) -> float:
    """Seconds to the first token of one adapter's answer, begun while another's is under way."""
    other = asyncio.ensure_future(waits(engine, busy, 1))
    while not engine.live:  # noqa: ASYNC110 - what an engine counts has no event
        await asyncio.sleep(0)
    found = (await waits(engine, adapter, 2))[0]
    await other
    return found


async def timed(work: Callable[[], object]) -> float:
    started = perf_counter()
    await work()  # type: ignore[misc]
    return perf_counter() - started


async def measure(settings: OpenVINOSettings, weights: Sequence[Path]) -> Figures:
    """Every figure, of an engine with one lane; the last one with two."""
    found: Figures = {}
    async with OpenVINOEngine.open(settings) as engine:
        base: list[str | None] = [None] * STREAMS
        found["base, no adapters: tok/s"] = await tokens_per_second(engine, base)
        beside = asyncio.ensure_future(waits(engine, None, 7))
        found["first load: s"] = await timed(lambda: engine.load_adapter("one", weights[0]))
        found["longest wait of a base stream meanwhile: ms"] = 1e3 * max((await beside)[1:])
        found["longest wait of a base stream alone: ms"] = 1e3 * max((await waits(engine, None, 7))[1:])
        found["second load: ms"] = 1e3 * await timed(lambda: engine.load_adapter("two", weights[1]))
        found["base, idle lane: tok/s"] = await tokens_per_second(engine, base)
        found["one adapter: tok/s"] = await tokens_per_second(engine, ["one"] * STREAMS)
        mixed: list[str | None] = [None, "one"] * (STREAMS // 2)
        found["base and one adapter: tok/s"] = await tokens_per_second(engine, mixed)
        found["two adapters, one lane: tok/s"] = await tokens_per_second(engine, ["one", "two"] * 4)
        found["first token behind another adapter, one lane: ms"] = 1e3 * await first_behind(
            engine, "one", "two"
        )
    async with OpenVINOEngine.open(replace(settings, adapter_pipelines=2)) as engine:
        found["memory, no lane: MB"] = memory_mb(engine)
        for name, file in zip(("one", "two"), weights, strict=True):
            await engine.load_adapter(name, file)
            found[f"memory, lane {name}: MB"] = memory_mb(engine)
        found["two adapters, two lanes: tok/s"] = await tokens_per_second(engine, ["one", "two"] * 4)
        found["first token behind another adapter, two lanes: ms"] = 1e3 * await first_behind(
            engine, "one", "two"
        )
    return {name: round(figure, 1 if figure > 10 else 2) for name, figure in found.items()}


def main() -> None:
    """Measure, print, keep."""
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else builtin_path()
    base = adaptable_modules(model)
    settings = OpenVINOSettings(model, 8192, context_tokens=1024, vocab_size=4096, adaptable=base)
    machine.wait_until_quiet()
    with tempfile.TemporaryDirectory() as folder:
        weights = [write_adapter(base, Path(folder) / f"{seed}.safetensors", seed) for seed in (1, 2)]
        found = asyncio.run(measure(settings, weights))
    for name, figure in found.items():
        print(f"{name:52} {figure}")
    if model == builtin_path():
        results = {"machine": machine.describe(), "figures": found}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
