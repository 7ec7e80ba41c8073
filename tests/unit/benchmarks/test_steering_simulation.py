"""The simulation of sites: the same run twice, and the orders that no figure may turn round."""

from __future__ import annotations

import pytest
from benchmarks.steering.__main__ import against_best, cell_figures, decision_us, show
from benchmarks.steering.policies import LIMIT, OURS, policies
from benchmarks.steering.servers import State, exact_ms
from benchmarks.steering.simulation import Cell, Simulation
from benchmarks.steering.world import HARDWARE, LAYOUTS, mesh_rtt_ms

TINY = Cell("r+2", 0.4, seconds=8, warm_seconds=2)


@pytest.mark.parametrize("name", list(policies()))
def test_every_policy_answers_the_same_conversations(name):
    one, two = (Simulation(TINY, policies()[name], seed=3).run() for _ in range(2))
    assert one.ttft_ms == two.ttft_ms
    assert len(one.ttft_ms) > 20
    assert min(one.ttft_ms) > 10


def test_ours_beats_the_nearest_site_when_that_is_full():
    crowded = Cell("r+4", 0.6, seconds=25, warm_seconds=10)
    figures = cell_figures(crowded, ["nearest by place", "round robin", OURS[0], LIMIT], seeds=[1])
    assert figures[OURS[0]]["p95_ms"] < 0.7 * figures["nearest by place"]["p95_ms"]
    gain, best = against_best(figures, OURS[0], "p95_ms")
    assert best in {"nearest by place", "round robin"}
    assert gain < 0


def test_the_table_names_the_best_other_policy(capsys):
    row = {"p50_ms": 50.0, "p95_ms": 200.0, "p99_ms": 400.0}
    show("a cell", {"round robin": row, OURS[0]: {**row, "p95_ms": 150.0}})
    assert "p95 -25 % (round robin)" in capsys.readouterr().out


def test_an_idle_replica_reads_at_its_hardware_s_rate():
    idle = State(0, 0, 0, 0, False, 120.0, 1e9)
    assert exact_ms(idle, HARDWARE["t4"], 16) == 24.0
    assert exact_ms(idle, HARDWARE["t4"], 512) == 130.0
    assert exact_ms(idle, HARDWARE["t4"], 1024) == 260.0


def test_the_mesh_is_symmetric_and_a_decision_is_timed():
    for one in LAYOUTS["r+4"].sites:
        for two in LAYOUTS["r+4"].sites:
            assert mesh_rtt_ms(one, two) == pytest.approx(mesh_rtt_ms(two, one))
    assert decision_us(rounds=20) > 0
