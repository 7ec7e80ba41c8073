"""Traces over OTLP/HTTP and W3C trace context. Importing this needs OpenTelemetry: the extra `tracing`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from nearstream.telemetry.spans import Span, Trace

_NS_PER_S = 1_000_000_000
_PATH = "/v1/traces"
# A collector that is away must not hold up the end of the process for long.
EXPORT_TIMEOUT_S = 2.0


@contextmanager
def otlp(endpoint: str, service: str, *, clock_ns: Callable[[], int] = time.time_ns) -> Iterator[Trace]:
    """Sends spans in a thread of its own; leaving the block sends the last ones.

    `endpoint` is where the collector takes OTLP over HTTP: http://localhost:4318, say.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    url = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url, timeout=EXPORT_TIMEOUT_S)))
    tracer, propagator = provider.get_tracer("nearstream"), TraceContextTextMapPropagator()

    def trace(span: Span, headers: Mapping[str, str]) -> None:
        _start(tracer, span, propagator.extract(headers), kind=SpanKind.SERVER, now_ns=clock_ns())

    try:
        yield trace
    finally:
        provider.shutdown()


def _start(tracer: Tracer, span: Span, parent: Context, *, kind: SpanKind, now_ns: int) -> None:
    began_ns = now_ns - int(span.began_s * _NS_PER_S)
    started = tracer.start_span(span.name, parent, kind, span.attributes, start_time=began_ns)
    if span.error is not None:
        started.set_status(StatusCode.ERROR, span.error)
    inside = set_span_in_context(started, parent)
    for part in span.parts:
        _start(tracer, part, inside, kind=SpanKind.INTERNAL, now_ns=now_ns)
    started.end(now_ns - int(span.ended_s * _NS_PER_S))
