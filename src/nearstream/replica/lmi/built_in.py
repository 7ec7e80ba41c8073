"""A model on our own engine, as DJL's built-in handlers are: LMI's bodies, and OpenAI's in later releases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from nearstream.core.errors import Invalid
from nearstream.replica.adapters import Adapters
from nearstream.replica.batch import Batch
from nearstream.replica.lmi.inbound import Inbound
from nearstream.replica.lmi.served import Crew, Worker
from nearstream.replica.lmi.sessions import SessionDesk
from nearstream.replica.reply import Desk, reply
from nearstream.wire.dialects.lmi.adapted import Adapted
from nearstream.wire.dialects.port import Draft

ADAPTER = "adapter"
ADAPTER_HEADER = "x-amzn-sagemaker-adapter-identifier"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """`read` makes a draft of a body; `started_at` is when the engine was there, seconds since the epoch."""

    desk: Desk
    batch: Batch
    read: Callable[[bytes], Draft]
    queue_size: int
    started_at: float
    sessions: SessionDesk | None = None
    """None: the release knows no sessions."""
    adapters: Adapters | None = None

    async def answer(self, request: web.Request, inbound: Inbound) -> web.StreamResponse:
        if self.sessions is not None and (about := self.sessions.answer(inbound)) is not None:
            return about
        draft = self.read(inbound.body)
        if (named := inbound.first(ADAPTER) or inbound.properties.get(ADAPTER_HEADER)) is not None:
            draft = Adapted(draft, named, self.adapters or ())
        return await reply(request, draft, self.desk)

    async def healthy(self) -> bool:
        return await self.desk.readiness.healthy()

    def crew(self) -> Crew:
        """One worker: the engine runs all requests together."""
        return Crew(
            workers=(Worker(1, self.started_at, ready=True),),
            min_workers=1,
            max_workers=1,
            batch_size=1,
            max_batch_delay_ms=0,
            max_idle_s=0,
            queue_size=self.queue_size,
            waiting=self.batch.waiting,
        )

    async def scale(self, min_workers: int, max_workers: int) -> None:
        if (min_workers, max_workers) != (1, 1):
            raise Invalid(
                "A model on the engine has one worker, which runs all requests together; "
                f"{min_workers} to {max_workers} were asked for. Scale it by instances of the endpoint."
            )
