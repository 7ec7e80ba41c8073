"""`nearstream serve` beside `transformers serve`: the same weights, prompts and client, in one run.

The built-in model's folder holds the same weights twice: as the IR that nearstream's engine loads, and as the
checkpoint that transformers loads. Every call is a greedy streamed chat of up to 64 new tokens over TCP, on a
connection of its own. Each server is alone on the machine: it is started, warmed up, measured at every number
of streams and stopped; rounds go through the servers in turn, forwards and backwards, and ratios are taken
within a round. TTFT ends with the first event that has text in it; tokens are counted by the servers.

    python -m benchmarks.http_server [--rounds 3] [--calls 100] [--no-record]
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

import uvloop

from benchmarks import machine
from benchmarks.http_server import peer
from benchmarks.http_server.client import Call, many
from benchmarks.http_server.servers import MAX_NEW_TOKENS, Server, running, servers
from benchmarks.token_path.__main__ import prompts

RESULT = Path(__file__).parents[1] / "results" / "http_server.json"
STREAMS = (1, 8, 32)
WARM_UP = 2
FIGURES = ("ttft_p50_ms", "ttft_p99_ms", "tokens_per_s", "tokens_made")

Figures = dict[str, float]
Rounds = dict[tuple[str, int], list[Figures]]


def figures(calls: list[Call]) -> Figures:
    """Over one server's calls at one number of streams; tokens per second over the wall time of them all."""
    firsts = quantiles([(call.first - call.sent) * 1e3 for call in calls], n=100, method="inclusive")
    made = sum(call.made for call in calls)
    wall_s = max(call.last for call in calls) - min(call.sent for call in calls)
    return dict(zip(FIGURES, (firsts[49], firsts[98], made / wall_s, made), strict=True))


def measure(server: Server, calls: int) -> tuple[dict[int, Figures], float]:
    """Start it, and take its figures at each number of streams after a warm-up at that number.

    Also, what other work had of the cores meanwhile, in percent.
    """
    found = {}
    machine.wait_until_quiet()
    with running(server) as (port, pid):
        before = machine.Load.now(pid)
        for streams in STREAMS:
            asked = prompts(calls + WARM_UP * streams)
            bodies = [server.body(prompt) for prompt in asked]
            uvloop.run(many(port, bodies[calls:], streams=streams))
            found[streams] = figures(uvloop.run(many(port, bodies[:calls], streams=streams)))
        others = before.others_percent(machine.Load.now(pid))
    return found, others


def run_rounds(count: int, calls: int) -> tuple[Rounds, float]:
    """Every server in turn, `count` times; and the most that other work had of the cores, in percent."""
    compared, found, most = servers(), Rounds(), 0.0
    for number in range(count):
        for server in compared if number % 2 == 0 else compared[::-1]:
            print(f"round {number + 1} of {count}: {server.name}", flush=True)
            measured, others = measure(server, calls)
            most = max(most, others)
            for streams, one in measured.items():
                found.setdefault((server.name, streams), []).append(one)
    return {(name, streams): found[name, streams] for name in names(found) for streams in STREAMS}, most


def names(found: Rounds) -> list[str]:
    """The servers, ours first."""
    return sorted({name for name, _ in found}, key=lambda name: (name != "nearstream", name))


def middle(rounds: list[Figures]) -> Figures:
    """The median of each figure over the rounds."""
    return {name: round(median(one[name] for one in rounds), 2) for name in FIGURES}


def compare(found: Rounds) -> list[dict[str, object]]:
    """How many times sooner our first token comes, and how many times more tokens, round by round."""
    ours, *others = names(found)
    ratios: list[dict[str, object]] = []
    for other in others:
        for streams in STREAMS:
            pairs = list(zip(found[ours, streams], found[other, streams], strict=True))
            ratios.append(
                {
                    "beside": other,
                    "streams": streams,
                    **{
                        name: round(median(their[name] / our[name] for our, their in pairs), 2)
                        for name in ("ttft_p50_ms", "ttft_p99_ms")
                    },
                    "tokens_per_s": round(
                        median(our["tokens_per_s"] / their["tokens_per_s"] for our, their in pairs), 2
                    ),
                }
            )
    return ratios


def show(found: Rounds, ratios: list[dict[str, object]]) -> None:
    """Print the tables."""
    print(f"\n{'server':36}streams  TTFT p50   p99 ms   tokens/s  tokens made")
    for (name, streams), rounds in found.items():
        one = middle(rounds)
        print(
            f"{name:36}{streams:7}  {one['ttft_p50_ms']:8.1f} {one['ttft_p99_ms']:8.1f}   "
            f"{one['tokens_per_s']:8.0f}  {one['tokens_made']:11.0f}"
        )
    print(f"\n{'nearstream is better by, beside':36}streams  TTFT p50      p99   tokens/s")
    for ratio in ratios:
        print(
            f"{ratio['beside']:36}{ratio['streams']:7}  {ratio['ttft_p50_ms']:7} x "
            f"{ratio['ttft_p99_ms']:6} x {ratio['tokens_per_s']:8} x"
        )


def main() -> None:
    """Measure, print, record."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.http_server")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--calls", type=int, default=100, help="of each server at each number of streams")
    options.add_argument("--no-record", action="store_true")
    chosen = options.parse_args()
    found, others = run_rounds(chosen.rounds, chosen.calls)
    ratios = compare(found)
    show(found, ratios)
    print(f"\nother work had at most {others:.0f} % of the cores")
    if not chosen.no_record:
        record = {
            "command": f"python -m benchmarks.http_server --rounds {chosen.rounds} --calls {chosen.calls}",
            "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "machine": machine.describe() | peer.versions(),
            "other_work_percent": round(others),
            "max_new_tokens": MAX_NEW_TOKENS,
            "servers": [
                {"server": name, "streams": streams, **middle(rounds)}
                for (name, streams), rounds in found.items()
            ],
            "ratios": ratios,
        }
        RESULT.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
        print(f"\nrecorded in {RESULT.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
