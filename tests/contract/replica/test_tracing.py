"""Calls as traces, as a collector gets them over OTLP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.contract.replica.scripted import AS_MANAGER, Witness, ids_of, serving, settings
from tests.support.waiting import until

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from nearstream.telemetry.tracing import otlp

ASK = {"inputs": "hi", "parameters": {"max_new_tokens": 9}}
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
ERROR = 2


@dataclass
class Collector:
    """Takes what is exported and keeps it."""

    url: str = ""
    services: set[str] = field(default_factory=set)
    spans: list[Any] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {each.value.string_value for each in resource.resource.attributes}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            found.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None: ...

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        found.url = f"http://127.0.0.1:{port}"
        yield found


@contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {
        each.key: each.value.int_value if each.value.HasField("int_value") else each.value.string_value
        for each in span.attributes
    }


async def test_a_call_continues_its_callers_trace_with_a_span_for_each_part(
    tmp_path: Path, collector: Collector
):
    ids = ids_of("hello", tmp_path)
    headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "x-request-id": "mine"}
    with otlp(collector.url, "replica") as trace:
        async with (
            serving(settings(tmp_path), Witness(ids, delay_s=0.01), trace=trace) as server,
            aiohttp.ClientSession(server.url) as session,
        ):
            await (await session.post("/generate_stream", json=ASK, headers=headers)).read()
    (call,) = collector.named("generate")
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert attributes(call) == {"request.id": "mine", "request.priority": "normal"}
    assert call.status.code != ERROR
    assert "replica" in collector.services
    parts = [collector.named(name)[0] for name in ("queue", "prefill", "decode")]
    assert {part.parent_span_id for part in parts} == {call.span_id}
    edges = [call.start_time_unix_nano]
    for part in parts:
        edges += [part.start_time_unix_nano, part.end_time_unix_nano]
    edges.append(call.end_time_unix_nano)
    assert edges == sorted(edges)
    assert [attributes(part) for part in parts] == [
        {"gen_ai.request.max_tokens": 9},
        {"gen_ai.usage.input_tokens": 3},
        {"gen_ai.usage.output_tokens": len(ids)},
    ]
    assert parts[2].end_time_unix_nano - parts[2].start_time_unix_nano >= 5_000_000 * (len(ids) - 1)


async def test_what_fails_is_marked_with_its_cause_and_no_text_is_sent(tmp_path: Path, collector: Collector):
    with otlp(collector.url + "/v1/traces", "replica") as trace:
        async with (
            serving(settings(tmp_path), Witness([7]), trace=trace) as server,
            aiohttp.ClientSession(server.url) as session,
        ):
            await session.post("/generate", json={"inputs": "a secret " * 90})
    (call,) = collector.spans
    assert (call.status.code, call.status.message) == (ERROR, "validation")
    assert not call.parent_span_id
    assert b"secret" not in call.SerializeToString()


async def test_a_call_that_is_aborted_in_line_has_waited_only(tmp_path: Path, collector: Collector):
    engine = Witness(ids_of("hello", tmp_path))
    engine.pause()
    told = settings(tmp_path, max_batch_size=1)
    with otlp(collector.url, "replica") as trace:
        async with (
            serving(told, engine, trace=trace) as server,
            aiohttp.ClientSession(server.url) as session,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(session.post("/generate", json=ASK))
            await until(lambda: engine.live == 1)
            second = tasks.create_task(
                session.post("/generate", json=ASK, headers={"x-request-id": "waiting"})
            )

            async def aborted() -> bool:
                return (await session.post("/abort/waiting", headers=AS_MANAGER)).status == 200

            await until(aborted)
            await second
            engine.resume()
    (waited,) = [span for span in collector.named("generate") if attributes(span)["request.id"] == "waiting"]
    assert waited.status.message == "aborted"
    parts = [span.name for span in collector.spans if span.parent_span_id == waited.span_id]
    assert parts in (["queue"], [])


async def test_a_collector_that_is_away_disturbs_no_answer(tmp_path: Path):
    with otlp("http://127.0.0.1:9", "replica") as trace:
        async with (
            serving(settings(tmp_path), Witness([7]), trace=trace) as server,
            aiohttp.ClientSession(server.url) as session,
        ):
            assert (await session.post("/generate", json=ASK)).status == 200
