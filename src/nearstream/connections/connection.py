"""One connection of a server: refuses what is no request, and ends what does not come on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog
from aiohttp import http_exceptions, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.streams import StreamReader

from nearstream.connections.checks import BodyStalled
from nearstream.connections.limits import ConnectionLimits
from nearstream.connections.places import Places, peer_of
from nearstream.connections.refusals import Refusal, RefusalLog, Refuse, meaning

if TYPE_CHECKING:
    from multidict import CIMultiDict

PARTING_S = 1.0
"""How long a refused client has to read why, while what it still sends is dropped."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all connections of a server."""

    limits: ConnectionLimits
    places: Places
    refuse: Refuse
    log: RefusalLog


class Writer(StreamWriter):
    """Sends no header that names the library."""

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        if headers.get("Server", "").startswith("Python/"):
            del headers["Server"]
        await super().write_headers(status_line, headers)


class ServerConnection(web.RequestHandler):
    """Counts its bytes by what they belong to: a head, or the body of the request that is being served."""

    def __init__(self, manager: web.Server, rules: Rules, **options: Any) -> None:  # noqa: ANN401
        super().__init__(manager, **options)
        self._rules = rules
        self._link: asyncio.Transport | None = None
        self.peer = ""
        self.proven = False
        self._busy = False
        self._discarding = False
        self._stalled = False
        self._since = self._loop.time()
        """When it became idle, or the current window of the body began."""
        self._head_since: float | None = None
        self._head_bytes = 0
        self._received_bytes = 0
        self._payload: StreamReader | None = None
        self._lost = asyncio.Event()

    @property
    def idle(self) -> bool:
        return not (self._busy or self._messages or self._discarding)

    def make_room(self) -> None:
        """End the connection, which idles."""
        self._end_silently()

    def begin(self, payload: StreamReader) -> None:
        """A request is handed on; `payload` is its body."""
        self._busy, self._payload = True, payload
        self._head_since, self._head_bytes, self._received_bytes = None, 0, 0
        self._since = self._loop.time()

    def check(self, now: float) -> None:
        """End what took too long. To be called now and then."""
        limits = self._rules.limits
        if self._discarding:
            return
        if self._busy:
            self._check_body(now)
        elif self._head_since is not None:
            if now - self._head_since > limits.head_s:
                self._refuse(408, f"the head of the request did not come within {limits.head_s:g} seconds")
        elif now - self._since > (limits.idle_s if self._request_count else limits.head_s):
            self._end_silently()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._link = cast("asyncio.Transport", transport)
        self.peer = peer_of(transport.get_extra_info("peername"))
        if self._rules.places.enter(self):
            super().connection_made(transport)
        else:
            self._refuse(503, "there are too many connections; try again")

    def connection_lost(self, exc: BaseException | None) -> None:
        self._rules.places.leave(self)
        self._lost.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            return
        if self._busy or self._messages or not self._is_whole():
            self._received_bytes += len(data)
            super().data_received(data)
            if self._busy and self._messages and self._payload is not None and not self._is_whole():
                # No message begins within a body: the parser gave this one up, and tells its reader nothing.
                self._payload.set_exception(web.RequestPayloadError("the body breaks off"))
            return
        if data and self._head_since is None:
            self._head_since = self._loop.time()
        self._head_bytes += len(data)
        super().data_received(data)
        if not self._messages and self._head_bytes > self._rules.limits.head_bytes:
            most = self._rules.limits.head_bytes >> 10
            self._refuse(431, f"the head of the request is too large: at most {most} KiB are taken")

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response. A body that is refused, or compressed, is then dropped instead of read."""
        try:
            finished = await super().finish_response(request, resp, start_time)
        finally:
            self.proven = self.proven or resp.status < 400  # noqa: PLR2004
            self._busy, self._since = False, self._loop.time()
            self._rules.places.used(self)
        refused = self._payload is not None and self._payload.exception() is not None
        if not self._is_whole() and (refused or "Content-Encoding" in request.headers):
            self._discarding = True
            await self._part()
        return finished

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The response to what is no request, or to one whose handler failed."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun")
        if isinstance(exc, http_exceptions.HttpProcessingError):
            refusal = self._refusal(*meaning(exc))
        else:
            _log.error("request failed unexpectedly", exc_info=exc)
            refusal = self._rules.refuse(status, "internal error")
        return refusal.response()

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ANN401
        """What the library would log with a traceback: most often a body that broke off."""
        self._rules.log.note(400, "the connection failed", self.peer)
        _log.debug("connection failed", exc_info=kw.get("exc_info"))

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - the library's name
        """Let the request end; one whose body does not come is not waited for."""
        if self._busy and not self._is_whole():
            await self._await_body(timeout or 0.0)
            if not self._is_whole():
                self._stall("the server stops, and the body did not come")
        await super().shutdown(timeout)

    async def _part(self) -> None:
        """Let the client read the response before the connection ends, while it still sends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PARTING_S):
                await self._lost.wait()
        self.force_close()

    def _check_body(self, now: float) -> None:
        limits = self._rules.limits
        if self._is_whole() or self._stalled:
            return
        if self._reading_paused or self._buffer_paused:  # it is the application that takes its time
            self._since, self._received_bytes = now, 0
        elif now - self._since > limits.body_s:
            if self._received_bytes < limits.body_bytes:
                self._stall(
                    f"less than {limits.body_bytes} bytes of the body came in {limits.body_s:g} seconds"
                )
            self._since, self._received_bytes = now, 0

    def _is_whole(self) -> bool:
        return self._payload is None or self._payload.is_eof()

    async def _await_body(self, within_s: float) -> None:
        """Returns when the body is whole, or when nothing of it comes any more."""
        assert self._payload is not None  # noqa: S101  # asked by `shutdown`
        whole = asyncio.Event()
        self._payload.on_eof(whole.set)
        end = self._loop.time() + within_s
        while not whole.is_set() and (left := end - self._loop.time()) > 0:
            before = self._received_bytes
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, self._rules.limits.stop_body_s)):
                    await whole.wait()
            if self._received_bytes == before and not self._reading_paused:
                return

    def _stall(self, reason: str) -> None:
        """Whoever reads the body gets no more of it."""
        self._stalled = True
        self._rules.log.note(408, reason, self.peer)
        if self._payload is not None:
            self._payload.set_exception(BodyStalled(reason=reason))

    def _refusal(self, status: int, reason: str) -> Refusal:
        self._rules.log.note(status, reason, self.peer)
        return self._rules.refuse(status, reason)

    def _refuse(self, status: int, reason: str) -> None:
        """Say why and end the connection, which has no request that could be answered."""
        refusal = self._refusal(status, reason)
        self._discarding = True
        self._rules.places.leave(self)
        if self._link is None or self._link.is_closing():
            return
        self._link.write(refusal.wire())
        if self._link.can_write_eof():
            self._link.write_eof()
        self._loop.call_later(PARTING_S, self._link.abort)

    def _end_silently(self) -> None:
        self._discarding = True
        self._rules.places.leave(self)
        if self._link is not None:
            self._link.close()


RequestFactory = Callable[..., web.BaseRequest]


def request_factory(make: RequestFactory, loop: asyncio.AbstractEventLoop) -> RequestFactory:
    """`make`, told of each request's begin, with the target's path alone and a writer without a banner."""

    def made(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: ServerConnection,
        _: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        protocol.begin(payload)
        if message.url.absolute and message.path[:1] != "/" and message.method != "CONNECT":
            message = message._replace(path=message.url.raw_path_qs)
        return make(message, payload, protocol, Writer(protocol, loop), task)

    return made
