"""The path of a token, measured layer by layer on the same prompts in one run.

bare      the engine's own pipeline in one process: the limit
replica   `nearstream serve` over HTTP, on its Unix socket
endpoint  `nearstream up`: signed InvokeEndpointWithResponseStream calls over TCP, event stream parts back

Every layer answers greedily, so that each makes the same tokens. Rounds go through all layers in turn, and
ratios are taken within a round: a machine that slows down slows all of them.

    python -m benchmarks.token_path [--rounds 3] [--no-record]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import machine
from benchmarks.token_path import figures, load, relay_cpu
from benchmarks.token_path.figures import Figures, Trace
from nearstream.client.signing import Credentials, signed
from nearstream.models.builtin import builtin_path
from nearstream.text.tokenizer import load_tokenizer

RESULT = Path(__file__).parents[1] / "results" / "token_path.json"
MAX_NEW_TOKENS = 64
CALLS = {1: 48, 8: 160, 32: 640}
LAYERS = ("bare", "replica", "endpoint")
PORT = 18043
ASKED = (
    "What is time to first token?",
    "How do I stream from an endpoint?",
    "Explain what a KV cache is.",
    "Tell me a short story.",
    "Why does latency matter for a chat?",
    "What is nearstream and how do I start it?",
    "What is continuous batching?",
    "What is an edge site?",
)

Rounds = dict[tuple[str, int], list[Figures]]


def prompts(count: int) -> list[str]:
    """So many different prompts: none is a prefix of another, so that none is in the cache already."""
    return [f"Question {number}: {ASKED[number % len(ASKED)]}\nAnswer:" for number in range(count)]


def body(prompt: str) -> bytes:
    """One call, greedy."""
    parameters = {"max_new_tokens": MAX_NEW_TOKENS, "do_sample": False}
    return json.dumps({"inputs": prompt, "parameters": parameters, "stream": True}).encode()


def replica_request(prompt: str) -> bytes:
    """A call to the model server itself."""
    return _http("/generate_stream", {"Host": "replica", "Content-Type": "application/json"}, body(prompt))


def endpoint_request(keys: Credentials) -> Callable[[str], bytes]:
    """Calls to the endpoint, signed as boto3 signs them."""
    path = "/endpoints/assistant/invocations-response-stream"

    def make(prompt: str) -> bytes:
        data = body(prompt)
        url = f"http://127.0.0.1:{PORT}{path}"
        headers = signed("POST", url, data, {"Content-Type": "application/json"}, keys)
        return _http(path, {"Host": f"127.0.0.1:{PORT}", **headers}, data)

    return make


def _http(path: str, headers: dict[str, str], data: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""]).encode() + data


def run_bare(model: Path, streams: int) -> list[Trace]:
    """The pipeline alone, in a process of its own."""
    tokenizer = load_tokenizer(model)
    (eos,) = tokenizer.special.eos_ids
    ids = [tokenizer.encode(prompt, add_special_tokens=True) for prompt in prompts(CALLS[streams])]
    words = [str(model), str(streams), str(MAX_NEW_TOKENS), str(eos)]
    command = [sys.executable, "-m", "benchmarks.token_path.bare", *words]
    done = subprocess.run(command, input=json.dumps(ids), stdout=subprocess.PIPE, text=True, check=True)
    return [Trace(sent, tuple(tokens)) for sent, *tokens in json.loads(done.stdout)]


@contextmanager
def replica() -> Iterator[str]:
    """A model server; gives its socket."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/replica.sock"
        command = [sys.executable, "-m", "nearstream", "serve", "--uds", path]
        with _running(command, subprocess.PIPE) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if b"event=ready" in line:
                    break
            yield path


@contextmanager
def endpoint() -> Iterator[Callable[[str], bytes]]:
    """A site; gives what makes its requests."""
    with tempfile.TemporaryDirectory() as home:
        words = [sys.executable, "-m", "nearstream"]
        command = [*words, "up", "--home", home, "--port", str(PORT), "--json"]
        with _running(command, subprocess.DEVNULL) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if json.loads(line)["event"] == "ready":
                    break
            done = subprocess.run([*words, "env", "--home", home, "--json"], capture_output=True, check=True)
            keys = json.loads(done.stdout)
            yield endpoint_request(
                Credentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], keys["AWS_REGION"])
            )


@contextmanager
def _running(command: list[str], errors: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate()


def run_rounds(count: int) -> Rounds:
    """All layers at all numbers of streams, `count` times in turn."""
    found: Rounds = {}
    with replica() as socket, endpoint() as signed:
        for streams, calls in CALLS.items():
            asked = prompts(calls)
            for _ in range(count):
                traces = {
                    "bare": run_bare(builtin_path(), streams),
                    "replica": uvloop.run(load.many(socket, replica_request, asked, streams=streams)),
                    "endpoint": uvloop.run(load.many(("127.0.0.1", PORT), signed, asked, streams=streams)),
                }
                for layer, seen in traces.items():
                    found.setdefault((layer, streams), []).append(figures.of(seen, streams=streams))
    return found


def middle(rounds: list[Figures]) -> Figures:
    """The median of each figure over the rounds."""
    names = ("ttft_p50", "ttft_p99", "itl_p50", "itl_p99", "tokens_per_s")
    return replace(rounds[0], **{name: median(getattr(one, name) for one in rounds) for name in names})


def compare(found: Rounds) -> dict[str, float]:
    """The aims: TTFT over the bare engine at one stream, tokens per second beside it at the most streams."""
    most = max(CALLS)
    added = {
        layer: median(
            ours.ttft_p50 - bare.ttft_p50
            for ours, bare in zip(found[layer, 1], found["bare", 1], strict=True)
        )
        for layer in LAYERS[1:]
    }
    kept = {
        layer: median(
            ours.tokens_per_s / bare.tokens_per_s
            for ours, bare in zip(found[layer, most], found["bare", most], strict=True)
        )
        for layer in LAYERS[1:]
    }
    return {
        **{f"{layer}_added_ttft_ms": round(value, 2) for layer, value in added.items()},
        **{f"{layer}_throughput_kept_at_{most}": round(value, 3) for layer, value in kept.items()},
    }


def show(found: Rounds, aims: dict[str, float], cost: relay_cpu.Cost) -> None:
    """Print the table."""
    print("layer     streams  TTFT p50   p99 ms   ITL p50   p99 ms   tokens/s")
    for (layer, streams), rounds in found.items():
        one = middle(rounds)
        print(
            f"{layer:9} {streams:7}  {one.ttft_p50:8.2f} {one.ttft_p99:8.2f}  "
            f"{one.itl_p50:8.2f} {one.itl_p99:8.2f}   {one.tokens_per_s:8.0f}"
        )
    print(
        f"\nrelay {cost.relay_us:.0f} µs of CPU a chunk, bare pump {cost.pump_us:.0f}: {cost.ratio:.2f} times"
    )
    for name, value in aims.items():
        print(f"{name.replace('_', ' ')}: {value}")


def main() -> None:
    """Measure, print, record."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.token_path")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--no-record", action="store_true")
    chosen = options.parse_args()
    found = run_rounds(chosen.rounds)
    cost = asyncio.run(relay_cpu.measure())
    aims = compare(found)
    show(found, aims, cost)
    if not chosen.no_record:
        record = {
            "command": "python -m benchmarks.token_path",
            "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "machine": machine.describe(),
            "rounds": chosen.rounds,
            "max_new_tokens": MAX_NEW_TOKENS,
            "layers": [
                {"layer": layer, **{key: round(value, 3) for key, value in asdict(middle(rounds)).items()}}
                for (layer, _), rounds in found.items()
            ],
            "aims": aims,
            "relay": {key: round(value, 2) for key, value in asdict(cost).items()},
        }
        RESULT.write_text(json.dumps(record, indent=2) + "\n")
        print(f"\nrecorded in {RESULT.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
