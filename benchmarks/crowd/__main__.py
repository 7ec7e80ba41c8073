"""A crowd at the model server: what slow readers cost those who read at once, and in memory.

96 clients ask for 64 tokens, read, and ask again. 32 others ask once for a long answer and take 10 bytes a
second of it, half of them over TCP with the smallest buffer, half over the Unix socket. Together they are the
128 that the server takes; 64 of them generate at once. Each round has three parts, each on a fresh server:

alone     the 96 and nobody else
readers   the 96, and the 32 reading as fast as the others: the same work, without a slow reader
slow      the 96, and the 32 reading slowly

    python -m benchmarks.crowd [--rounds 3] [--seconds 30] [--no-record]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import machine
from benchmarks.crowd.clients import LONG, SHORT, fast, slow
from benchmarks.crowd.memory import Sample, watched
from benchmarks.token_path import figures
from benchmarks.token_path.figures import Figures, Trace

RESULT = Path(__file__).parents[1] / "results" / "crowd.json"
FAST, SLOW = 96, 32
PARTS = ("alone", "readers", "slow")
PORT = 18046


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of a round was like for the fast clients, and the server's memory meanwhile."""

    figures: Figures
    calls: int
    errors: int
    slow_bytes: int
    memory: list[Sample]

    @property
    def grown_mib(self) -> float:
        """The server's process, at its largest, over what it had when the crowd came."""
        return max(sample.server for sample in self.memory) - self.memory[0].server


@contextmanager
def server() -> Iterator[tuple[int, str]]:
    """A model server on the built-in model; its process and its Unix socket."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/replica.sock"
        words = ("-m", "nearstream", "serve", "--port", str(PORT), "--uds", path)
        log = Path(folder, "log")
        with (
            log.open("wb") as lines,
            subprocess.Popen([sys.executable, *words], stderr=lines) as process,
        ):
            try:
                while b"event=ready" not in log.read_bytes():
                    if process.poll() is not None:
                        raise SystemExit(f"the server did not start: {log.read_text()[-2000:]}")
                    time.sleep(0.1)
                yield process.pid, path
            finally:
                process.kill()


async def run_part(name: str, pid: int, path: str, seconds: float) -> Part:
    """The crowd for so long."""
    traces: list[Trace] = []
    loop = asyncio.get_running_loop()
    tcp = ("127.0.0.1", PORT)
    async with asyncio.TaskGroup() as tasks:
        warm = loop.time() + 2
        for number in range(FAST):
            tasks.create_task(fast(tcp, number * 1_000_000, warm, []))
    async with watched(pid) as memory, asyncio.TaskGroup() as tasks:
        until_s = loop.time() + seconds
        asking = [
            tasks.create_task(fast(tcp, number * 1_000_000 + 500_000, until_s, traces))
            for number in range(FAST)
        ]
        others = range(SLOW if name != "alone" else 0)
        reading = [
            tasks.create_task(slow(tcp if number % 2 else path, number, sip=name == "slow"))
            for number in others
        ]
        errors = sum([await task for task in asking])
        for task in reading:
            task.cancel()
        taken = sum([await task for task in reading])
    return Part(figures.of(traces, streams=FAST), len(traces), errors, taken, memory)


def run_rounds(count: int, seconds: float) -> tuple[list[dict[str, Part]], float]:
    """Every part, `count` times in turn; and the most that other work had of the cores, in percent."""
    rounds, most = [], 0.0
    for number in range(count):
        found = {}
        for name in PARTS:
            print(f"round {number + 1} of {count}: {name}", flush=True)
            machine.wait_until_quiet()
            with server() as (pid, path):
                before = machine.Load.now(pid)
                found[name] = uvloop.run(run_part(name, pid, path, seconds))
                most = max(most, before.others_percent(machine.Load.now(pid)))
        rounds.append(found)
    return rounds, most


def summary(rounds: list[dict[str, Part]]) -> dict[str, dict[str, float]]:
    """Medians over the rounds; errors are summed up, memory is the most."""
    results = {}
    for name in PARTS:
        parts = [found[name] for found in rounds]
        named = ("ttft_p50", "ttft_p99", "itl_p50", "itl_p99", "tokens_per_s")
        results[name] = {
            **{key: round(median(getattr(part.figures, key) for part in parts), 2) for key in named},
            "calls": sum(part.calls for part in parts),
            "errors": sum(part.errors for part in parts),
            "bytes_taken_by_the_others": max(part.slow_bytes for part in parts),
            "server_grown_mib": round(max(part.grown_mib for part in parts), 1),
            "server_most_mib": round(max(one.server for part in parts for one in part.memory), 1),
            "engine_most_mib": round(max(one.engine for part in parts for one in part.memory), 1),
            "tcp_buffers_most_mib": round(max(one.tcp_buffers for part in parts for one in part.memory), 1),
        }
    return results


def ratios(rounds: list[dict[str, Part]]) -> dict[str, float]:
    """The fast clients' p99 of inter-token times with slow readers over that without, round by round."""
    return {
        f"itl_p99_slow_over_{name}": round(
            median(found["slow"].figures.itl_p99 / found[name].figures.itl_p99 for found in rounds), 2
        )
        for name in PARTS[:2]
    }


def show(results: dict[str, dict[str, float]], compared: dict[str, float]) -> None:
    """Print the table."""
    print("\nfast clients   calls errors  TTFT p50   p99 ms   ITL p50   p99 ms   server grew  engine at most")
    for name, one in results.items():
        print(
            f"{name:12} {one['calls']:7} {one['errors']:6}  {one['ttft_p50']:8.1f} {one['ttft_p99']:8.1f}  "
            f"{one['itl_p50']:8.2f} {one['itl_p99']:8.2f}   {one['server_grown_mib']:7.1f} MiB   "
            f"{one['engine_most_mib']:7.1f} MiB"
        )
    for key, value in compared.items():
        print(f"{key.replace('_', ' ')}: {value}")


def main() -> None:
    """Measure, print, record."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.crowd")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=30)
    options.add_argument("--no-record", action="store_true")
    chosen = options.parse_args()
    rounds, others = run_rounds(chosen.rounds, chosen.seconds)
    results, compared = summary(rounds), ratios(rounds)
    show(results, compared)
    print(f"other work had at most {others:.0f} % of the cores")
    if not chosen.no_record:
        samples = rounds[-1]["slow"].memory[::4]
        record = {
            "command": f"python -m benchmarks.crowd --rounds {chosen.rounds} --seconds {chosen.seconds:g}",
            "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "machine": machine.describe(),
            "other_work_percent": round(others),
            "clients": {"fast": FAST, "slow": SLOW, "fast_tokens": SHORT, "slow_tokens": LONG},
            "fast_clients": results,
            "ratios": compared,
            "memory_mib_with_slow": [
                {key: round(value, 1) for key, value in asdict(sample).items()} for sample in samples
            ],
        }
        RESULT.write_text(json.dumps(record, indent=2) + "\n")
        print(f"\nrecorded in {RESULT.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
