"""Prometheus' text format, judged by the parser of Prometheus' own client."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from nearstream.telemetry.metrics import Counter, Gauge, Histogram, Metric, exposition
from nearstream.telemetry.tgi import TgiMetrics

BOUNDS = (0.1, 1.0, 10.0)


def samples(*metrics: Metric) -> dict[tuple[str, str], float]:
    """Values by name and by the value of the one label."""
    families = text_string_to_metric_families(exposition(metrics).decode())
    return {
        # The parser adds the suffix to counters that have none.
        (sample.name.removesuffix("_total"), "".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_counter_keeps_its_name_and_counts_by_label():
    counter = Counter("tgi_request_failure", "Failed", label="err", values=("dropped", "validation"))
    counter.increment("dropped")
    counter.increment("dropped")
    assert b'# TYPE tgi_request_failure counter\ntgi_request_failure{err="dropped"} 2\n' in exposition(
        [counter]
    )
    assert samples(counter) == {
        ("tgi_request_failure", "dropped"): 2,
        ("tgi_request_failure", "validation"): 0,
    }


def test_a_gauge_is_read_when_it_is_looked_at():
    line: list[str] = []
    gauge = Gauge("tgi_queue_size", "In line", read=lambda: len(line))
    assert samples(gauge) == {("tgi_queue_size", ""): 0}
    line.append("somebody")
    assert samples(gauge) == {("tgi_queue_size", ""): 1}


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5)), max_size=30))
def test_a_bucket_holds_what_is_no_larger_than_its_bound(seen: Sequence[tuple[float, int]]):
    histogram = Histogram("t", "Times", bounds=BOUNDS)
    for value, times in seen:
        histogram.observe(value, times)
    found = samples(histogram)
    for edge, bound in (("0.1", 0.1), ("1", 1.0), ("10", 10.0), ("+Inf", float("inf"))):
        wanted = sum(times for value, times in seen if value <= bound)
        assert found["t_bucket", _as_sent(histogram, edge)] == wanted
    assert found["t_count", ""] == sum(times for _, times in seen)
    assert abs(found["t_sum", ""] - sum(value * times for value, times in seen)) < 1e-6


def test_a_server_has_tgis_buckets():
    metrics = TgiMetrics(max_input_tokens=1000, max_total_tokens=2000)
    lines = exposition(metrics.all()).decode().splitlines()
    edges = {
        name: [line for line in lines if line.startswith(f"{name}_bucket")]
        for name in ("tgi_request_duration", "tgi_request_input_length", "tgi_request_max_new_tokens")
    }
    assert [len(found) for found in edges.values()] == [36, 101, 101]
    assert edges["tgi_request_duration"][0] == 'tgi_request_duration_bucket{le="0.00015"} 0'
    assert edges["tgi_request_input_length"][99] == 'tgi_request_input_length_bucket{le="1000"} 0'
    assert edges["tgi_request_max_new_tokens"][0] == 'tgi_request_max_new_tokens_bucket{le="20"} 0'


def _as_sent(histogram: Histogram, edge: str) -> str:
    assert any(f'le="{edge}"' in line for line in histogram.lines())
    return edge
