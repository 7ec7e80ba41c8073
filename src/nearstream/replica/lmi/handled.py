"""A model that a user's own handler serves: a call goes to its worker, what it says goes out as it comes."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from aiohttp import web

from nearstream.core.errors import GenerationFailed, NearstreamError
from nearstream.core.handlers import HandlerHead, HandlerInput
from nearstream.core.ports import Clock
from nearstream.handlers.adapters import HandlerAdapters
from nearstream.handlers.workers import HandlerWorkers
from nearstream.replica.calls import Call
from nearstream.replica.lmi.inbound import Inbound
from nearstream.replica.lmi.served import Worker, WorkerGroup
from nearstream.replica.writer import ResponseWriter
from nearstream.telemetry.djl import DjlMetrics
from nearstream.wire.dialects.lmi.errors import failure
from nearstream.wire.dialects.lmi.terms import LmiRelease

# Where a reader of lines would find an error's line; anywhere else it would be taken for content.
_LINES = re.compile(r"application/(json|jsonlines|x-ndjson)|text/(?!event-stream)", re.IGNORECASE)
# A client would wait for more after 1xx, and reads nothing else as an answer.
STATUSES = range(200, 600)
_OWN = frozenset({"content-length", "transfer-encoding", "connection", "server", "date"})
_log = structlog.get_logger(__name__)
Parts = AsyncGenerator[HandlerHead | bytes, None]


@dataclass(frozen=True, slots=True)
class Handled:
    """`stall_s`: how long a client may take nothing. `clock` is monotonic, seconds."""

    workers: HandlerWorkers
    release: LmiRelease
    metrics: DjlMetrics
    clock: Clock
    stall_s: float = 60.0

    @property
    def adapters(self) -> HandlerAdapters | None:
        """Those that its handler is told of."""
        return self.workers.adapters

    async def answer(self, request: web.Request, inbound: Inbound, call: Call) -> web.StreamResponse:
        began_s = self.clock()
        async with aclosing(self.workers.invoke(HandlerInput(inbound.content, inbound.properties))) as parts:
            head = await anext(parts)
            assert isinstance(head, HandlerHead)  # noqa: S101 - the port's promise
            if head.code not in STATUSES:
                raise GenerationFailed(
                    f"the handler answered with the status {head.code}; 200 to 599 are wanted"
                )
            response = web.StreamResponse(status=head.code, reason=head.message, headers=_headers(head))
            writer = ResponseWriter(request, response, stall_s=self.stall_s)
            answered = await self._written(writer, parts, call)
        self.metrics.inference.observe(self.clock() - began_s)
        return answered

    async def _written(self, writer: ResponseWriter, parts: Parts, call: Call) -> web.StreamResponse:
        try:
            async for part in parts:
                assert isinstance(part, bytes)  # noqa: S101 - the port's promise
                await writer.write(part)
        except NearstreamError as error:
            call.failed(error)
            if not writer.opened:
                raise
            _log.warning("handler failed", error=str(error))
            if not _LINES.match(writer.content_type):
                return writer.cut()  # the reader must see that the rest is missing
            await writer.write(failure(error, self.release) + b"\n")
        except ConnectionError as error:
            _log.debug("client disconnected", error=str(error))
            return writer.abandon()
        return await writer.close()

    async def healthy(self) -> bool:
        return await self.workers.healthy()

    def worker_group(self) -> WorkerGroup:
        workers, settings = self.workers, self.workers.settings
        return WorkerGroup(
            workers=tuple(
                Worker(number, worker.started_at, ready=worker.ready)
                for number, worker in enumerate(workers.running, start=1)
            ),
            min_workers=workers.min_workers,
            max_workers=workers.max_workers,
            batch_size=settings.batch_size,
            max_batch_delay_ms=settings.max_batch_delay_ms,
            max_idle_s=round(settings.max_idle_time_s),
            queue_size=settings.job_queue_size,
            waiting=workers.waiting,
        )

    async def scale(self, min_workers: int, max_workers: int) -> None:
        await self.workers.scale(min_workers, max_workers)


def _headers(head: HandlerHead) -> dict[str, str]:
    """What the handler says of its body; the frame of the answer is ours."""
    return {name: value for name, value in head.properties.items() if name.lower() not in _OWN}
