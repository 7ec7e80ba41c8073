"""Which site should answer? A simulated region with zones, under the product's own choice and under others.

The choice under test is the product's: `nearstream.edge.steering` is imported, not written again.
Everything else is a model: users, networks, hardware, caches. Each cell is a layout of sites at a share of
the rate at which even perfect knowledge has a 95th percentile of 1.5 s. All policies of a cell get the same
conversations. Hedging and failures are not simulated.

    python -m benchmarks.steering                       two cells, one seed, short: a look
    python -m benchmarks.steering --all                 every layout and load, three seeds, 240 s: 20 minutes
    python -m benchmarks.steering --cells r+4:0.7 r+2big:0.85 --seeds 3 --seconds 240 --warm-seconds 50
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

from benchmarks import machine
from benchmarks.steering.policies import LIMIT, OURS, policies
from benchmarks.steering.simulation import Cell, Result, Simulation
from benchmarks.steering.world import LAYOUTS
from nearstream.edge.steering.choice import choose
from nearstream.edge.steering.coefficients import Coefficients
from nearstream.edge.steering.views import Ask, CachedPrefix, ReplicaView, SiteView

RESULT = Path(__file__).parents[1] / "results" / "steering.json"
PERCENTS = (50, 95, 99)
LOADS = (0.3, 0.5, 0.7, 0.85)
SHORT = Cell(seconds=120, warm_seconds=50)

Figures = dict[str, float | None]


def cell_figures(cell: Cell, names: Sequence[str], seeds: Sequence[int]) -> dict[str, Figures]:
    """By policy: percentiles and shares, as means over the seeds."""
    return {
        name: _figures([Simulation(cell, policies()[name], seed=seed).run() for seed in seeds])
        for name in names
    }


def _figures(results: Sequence[Result]) -> Figures:
    errors = [result.error_ms for result in results if result.error_ms is not None]
    return {
        **{f"p{percent}_ms": round(mean(one.percentile(percent) for one in results)) for percent in PERCENTS},
        "answers": sum(len(one.ttft_ms) for one in results),
        "relayed": round(mean(one.relayed_share for one in results), 3),
        "handed_on": round(mean(one.handed_on_share for one in results), 3),
        "error_p50_ms": round(mean(errors), 1) if errors else None,
    }


def against_best(figures: Mapping[str, Figures], name: str, key: str) -> tuple[float, str]:
    """By how many percent a policy is above (or below) the best of those that are not ours, and which that
    is.
    """
    others = {one: row[key] or 0.0 for one, row in figures.items() if one not in {*OURS, LIMIT}}
    best = min(others, key=lambda one: others[one])
    return 100 * ((figures[name][key] or 0.0) / others[best] - 1), best


def decision_us(rounds: int = 3000) -> float:
    """CPU time of one decision among five sites with ten replicas, in microseconds."""
    names = ("pdx", "lax", "hnl", "den", "phx")
    counts = (4, 3, 1, 1, 1)
    views = [
        SiteView(
            name,
            0.0,
            Coefficients(20, 0.2, 0.3, 9),
            tuple(ReplicaView(str(number), 24, 9, 1, 700.0 * number, 90_000) for number in range(count)),
        )
        for name, count in zip(names, counts, strict=True)
    ]
    cached = {"lax": {"1": (CachedPrefix(900, 0.0),)}, "pdx": {"0": (CachedPrefix(300, 0.0),)}}
    ask = Ask(1400, {name: 9.0 * place for place, name in enumerate(names)}, cached, 300, "lax", "lax")
    began = time.process_time()
    for now_ms in range(rounds):
        choose(ask, views, own_sends={"lax": 90.0}, now_ms=now_ms)
    return (time.process_time() - began) / rounds * 1e6


def show(title: str, figures: Mapping[str, Figures]) -> None:
    """A table of one cell, and ours against the best other policy."""
    print(f"\n{title}\n{'':30}{'p50':>8}{'p95':>8}{'p99':>8}   ms to the first token")
    for name, row in figures.items():
        print(f"{name:30}" + "".join(f"{row[f'p{percent}_ms']:8.0f}" for percent in PERCENTS))
    for name in (one for one in OURS if one in figures):
        parts = [(f"p{percent}", *against_best(figures, name, f"p{percent}_ms")) for percent in PERCENTS]
        print(f"  {name}: " + ", ".join(f"{label} {gain:+.0f} % ({best})" for label, gain, best in parts))
    sys.stdout.flush()


def cells(arguments: argparse.Namespace) -> list[Cell]:
    """Those that were asked for."""
    if arguments.all:
        return [Cell(layout, load) for layout in LAYOUTS for load in LOADS]
    times = {"seconds": arguments.seconds, "warm_seconds": arguments.warm_seconds}
    named = [word.split(":") for word in arguments.cells]
    return [replace(SHORT, layout=layout, load=float(load), **times) for layout, load in named]


def main() -> None:
    """Simulate, print, record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steering", description=__doc__)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--cells", nargs="+", default=["r+4:0.7", "r+2:0.5"], metavar="LAYOUT:LOAD")
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=SHORT.seconds)
    parser.add_argument("--warm-seconds", type=float, default=SHORT.warm_seconds)
    parser.add_argument("--no-record", action="store_true")
    arguments = parser.parse_args()
    seeds = range(1, 1 + (arguments.seeds or (3 if arguments.all else 1)))
    decision = round(decision_us(), 1)
    print(f"one decision, 5 sites and 10 replicas: {decision} µs")
    recorded: dict[str, dict[str, Figures]] = {}
    for cell in cells(arguments):
        title = f"{cell.layout} at {cell.load:.0%}"
        recorded[title] = cell_figures(cell, list(policies()), seeds)
        show(title, recorded[title])
        if not arguments.no_record:
            record(recorded, decision)


def record(figures: Mapping[str, Mapping[str, Figures]], decision: float) -> None:
    """Keep what is known so far; a long run that is broken off has recorded its whole cells."""
    result = {
        "command": shlex.join(["python", "-m", "benchmarks.steering", *sys.argv[1:]]),
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine.describe(),
        "kind": "simulation",
        "decision_us": decision,
        "cells": figures,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
