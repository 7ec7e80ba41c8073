"""The limit: the engine's own pipeline in one process, nothing around it.

    python -m benchmarks.token_path.bare MODEL_DIR STREAMS MAX_NEW_TOKENS EOS_ID < prompts-as-token-ids.json

prints the traces as JSON. A process of its own, so that its threads and memory are the pipeline's alone.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai as genai

from benchmarks.token_path.figures import Trace


def load(model: Path) -> genai.ContinuousBatchingPipeline:
    """The pipeline as the engine sets it up, with one generation behind it."""
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = 4096
    scheduler.max_num_batched_tokens = 512
    scheduler.max_num_seqs = 64
    scheduler.enable_prefix_caching = True
    scheduler.dynamic_split_fuse = True
    pipeline = genai.ContinuousBatchingPipeline(str(model), scheduler, "CPU", {})
    run(pipeline, [[1] * 8], streams=1, max_new_tokens=4, eos=0)
    return pipeline


def run(
    pipeline: genai.ContinuousBatchingPipeline,
    prompts: list[list[int]],
    *,
    streams: int,
    max_new_tokens: int,
    eos: int,
) -> list[Trace]:
    """All prompts, `streams` of them at once, a new one admitted as soon as one ends."""
    config = genai.GenerationConfig()
    config.max_new_tokens = max_new_tokens
    config.stop_token_ids = {eos}
    config.logprobs = 1
    waiting = list(enumerate(prompts, start=1))[::-1]
    live: dict[int, tuple[Any, float, list[float]]] = {}
    traces = []
    base = time.perf_counter_ns()
    while waiting or live:
        while waiting and len(live) < streams:
            number, ids = waiting.pop()
            tensor = openvino.Tensor(np.array([ids], dtype=np.int64))
            sent = time.perf_counter()
            live[number] = (pipeline.add_request(base + number, tensor, config), sent, [])
        pipeline.step()
        now = time.perf_counter()
        for number, (handle, sent, times) in list(live.items()):
            ended = False
            while handle.can_read():
                for output in handle.read().values():
                    times.extend([now] * len(output.generated_ids))
                    ended = output.finish_reason != genai.GenerationFinishReason.NONE
            if ended:
                traces.append(Trace(sent, tuple(times)))
                del live[number]
    return traces


def main() -> None:
    """Run what the command line says."""
    model, (streams, max_new_tokens, eos) = Path(sys.argv[1]), map(int, sys.argv[2:5])
    prompts = json.load(sys.stdin)
    traces = run(load(model), prompts, streams=streams, max_new_tokens=max_new_tokens, eos=eos)
    json.dump([[trace.sent, *trace.tokens] for trace in traces], sys.stdout)


if __name__ == "__main__":
    main()
