"""A model on our own engine, as DJL's built-in handlers are: LMI's bodies, and OpenAI's in later releases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from nearstream.core.errors import Invalid
from nearstream.replica.adapters import Adapters
from nearstream.replica.calls import Call
from nearstream.replica.lmi.inbound import Inbound
from nearstream.replica.lmi.served import Worker, WorkerGroup
from nearstream.replica.lmi.sessions import SessionHandler
from nearstream.replica.responses import ServerContext, respond
from nearstream.replica.scheduler import Scheduler
from nearstream.wire.dialects.lmi.adapted import BodyWithAdapter
from nearstream.wire.dialects.port import ParsedBody

ADAPTER = "adapter"
ADAPTER_HEADER = "x-amzn-sagemaker-adapter-identifier"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """`read` parses a body; `started_at` is when the engine was ready, seconds since the epoch."""

    context: ServerContext
    scheduler: Scheduler
    read: Callable[[bytes], ParsedBody]
    queue_size: int
    started_at: float
    sessions: SessionHandler | None = None
    """None: the release knows no sessions."""
    adapters: Adapters | None = None

    async def answer(self, request: web.Request, inbound: Inbound, call: Call) -> web.StreamResponse:
        if self.sessions is not None and (about := self.sessions.answer(inbound)) is not None:
            return about
        parsed = self.read(inbound.body)
        if (named := inbound.first(ADAPTER) or inbound.properties.get(ADAPTER_HEADER)) is not None:
            parsed = BodyWithAdapter(parsed, named, self.adapters or ())
        return await respond(request, parsed, self.context, call)

    async def healthy(self) -> bool:
        return await self.context.readiness.healthy()

    def worker_group(self) -> WorkerGroup:
        """One worker: the engine runs all requests together."""
        return WorkerGroup(
            workers=(Worker(1, self.started_at, ready=True),),
            min_workers=1,
            max_workers=1,
            batch_size=1,
            max_batch_delay_ms=0,
            max_idle_s=0,
            queue_size=self.queue_size,
            waiting=self.scheduler.waiting,
        )

    async def scale(self, min_workers: int, max_workers: int) -> None:
        if (min_workers, max_workers) != (1, 1):
            raise Invalid(
                "A model on the engine has one worker, which runs all requests together; "
                f"{min_workers} to {max_workers} were asked for. Scale it by instances of the endpoint."
            )
