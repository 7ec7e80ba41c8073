"""Hands an invocation to a replica and its answer back: opaque bytes, one event of the model in one part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from aiohttp import web

from nearstream.core.invocations import Invocation
from nearstream.fleet.pool import Lease, Pool
from nearstream.frontdoor.metrics import FrontDoorMetrics, InvocationTimer
from nearstream.frontdoor.parts import PartStream
from nearstream.frontdoor.upstream.client import Upstreams
from nearstream.frontdoor.upstream.connection import BodyTooLong, Connection, ReplicaGone, Sink
from nearstream.services.runtime.invocations import Runtime, stream_broken, stream_timed_out
from nearstream.wire.aws import invocation as wire

PATH = "/invocations"
ANSWER_TIMEOUT_S = 60.0
STREAM_TIMEOUT_S = 480.0
# A replica that is found dead before it answered is not the caller's problem: another one is tried.
ATTEMPTS = 3
# How long a call waits while the endpoint's only replica is being restarted.
READY_WAIT_S = 20.0
# What InvokeEndpoint returns at most; longer answers are streamed.
MAX_ANSWER_BYTES = 25 * 1024 * 1024
# How much of an error's body is read; its caller gets 2048 characters.
ERROR_BYTES = 16 * 1024
# What a stream that breaks is counted as.
BROKE = 500

log = structlog.get_logger()


class Relay:
    """The data plane between the front door's clients and the replicas."""

    def __init__(
        self, pool: Pool, upstreams: Upstreams, runtime: Runtime, metrics: FrontDoorMetrics | None = None
    ) -> None:
        self.metrics = metrics or FrontDoorMetrics()
        self._pool = pool
        self._upstreams = upstreams
        self._runtime = runtime

    async def answer(
        self, invocation: Invocation, body: bytes, headers: Mapping[str, str], timer: InvocationTimer
    ) -> web.Response:
        """InvokeEndpoint: the whole answer. Raises AwsError, NotReady and Overloaded."""
        sent = self._sent(invocation, body, timer)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S), sent as (lease, upstream):
                timer.first_byte()
                payload = await upstream.read(limit_bytes=MAX_ANSWER_BYTES)
                timer.answered(upstream.received_bytes)
        except TimeoutError:
            raise self._runtime.timed_out(invocation) from None
        except ReplicaGone:
            raise self._runtime.broke(invocation) from None
        except BodyTooLong:
            raise self._runtime.too_long(invocation, MAX_ANSWER_BYTES) from None
        self._note_session(invocation, lease, upstream.head.headers)
        own = wire.answer_headers(invocation, lease.variant, upstream.head.headers)
        return web.Response(body=payload, headers={**headers, **own})

    async def stream(
        self,
        invocation: Invocation,
        body: bytes,
        headers: Mapping[str, str],
        request: web.BaseRequest,
        timer: InvocationTimer,
    ) -> web.StreamResponse:
        """InvokeEndpointWithResponseStream: every event of the model as one part, at once.

        Raises as `answer` does before the first byte; after it, a failure is an exception frame.
        """
        response: PartStream | None = None
        sent = self._sent(invocation, body, timer)
        try:
            async with asyncio.timeout(STREAM_TIMEOUT_S), sent as (lease, upstream):
                timer.streams()
                own = wire.stream_headers(invocation, lease.variant, upstream.head.headers)
                response = PartStream(headers={**headers, **own})
                await response.prepare(request)
                try:
                    await upstream.pump(_timed(response, upstream, timer), response.drained)
                finally:
                    timer.answered(upstream.received_bytes)
        except TimeoutError:
            if response is None:
                raise self._runtime.timed_out(invocation) from None
            timer.failed(BROKE)
            response.write_frame(wire.stream_failure(stream_timed_out()))
        except ReplicaGone:
            if response is None:
                raise self._runtime.broke(invocation) from None
            self._pool.mark_broken(lease.replica.id)
            log.warning("replica broke mid-stream", replica=lease.replica.id, endpoint=invocation.endpoint)
            timer.failed(BROKE)
            response.write_frame(wire.stream_failure(stream_broken()))
        await response.write_eof()
        return response

    def _note_session(self, invocation: Invocation, lease: Lease, headers: Mapping[str, str]) -> None:
        """A session lives where the container that opened it does, until that closes it."""
        if opened := wire.opened_session(headers, invocation.joins):
            self._pool.join(invocation.endpoint, opened, lease.replica)
        if closed := wire.closed_session(headers):
            self._pool.part(invocation.endpoint, closed)

    @asynccontextmanager
    async def _sent(
        self, invocation: Invocation, body: bytes, timer: InvocationTimer
    ) -> AsyncGenerator[tuple[Lease, Connection]]:
        """An answer that a replica began, and the lease it is on. Raises ReplicaGone, AwsError."""
        headers = wire.replica_headers(invocation)
        for attempt in range(1, ATTEMPTS + 1):
            asked_at = self.metrics.clock()
            async with (
                self._pool.lease(
                    invocation.endpoint, invocation.variant, invocation.joins, wait_s=READY_WAIT_S
                ) as lease,
                AsyncExitStack() as held,
            ):
                timer.leased(lease.variant, asked_at=asked_at)
                try:
                    upstream = await held.enter_async_context(
                        self._upstreams.post(lease.replica.address, PATH, body, headers)
                    )
                except ReplicaGone:
                    self._pool.mark_broken(lease.replica.id)
                    log.warning("replica unreachable", replica=lease.replica.id, attempt=attempt)
                    continue
                if upstream.head.status >= 400:  # noqa: PLR2004
                    timer.failed(upstream.head.status)
                    message = await upstream.beginning(limit_bytes=ERROR_BYTES)
                    raise self._runtime.model_failed(invocation, upstream.head.status, message)
                attributes = wire.custom_attributes(upstream.head.headers)
                self._runtime.check_custom_attributes(invocation, attributes)
                yield lease, upstream
                return
        raise ReplicaGone(f"{ATTEMPTS} replicas went away")


def _timed(response: PartStream, upstream: Connection, timer: InvocationTimer) -> Sink:
    """Sends the first piece and notes when; those after it go to `response` without a detour."""

    def send(piece: bytes) -> bool:
        timer.first_byte()
        upstream.redirect(response.send)
        return response.send(piece)

    return send
