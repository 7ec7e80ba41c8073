"""Calls over HTTP: tried again where that can help, bounded in time, ended when their caller leaves."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import msgspec

from nearstream.client.bodies import StreamedBody
from nearstream.client.limits import CallTime, Retries, TimeLimits
from nearstream.client.targets import HttpRequest
from nearstream.client.trust import connector
from nearstream.core.errors import CallFailed, Invalid, NearstreamError, StreamFailed, TimedOut, Unreachable
from nearstream.core.ports import Clock

_OK: Final = 200
_AGAIN_STATUSES: Final = frozenset({429, 502, 503, 504})
_AGAIN_CODES: Final = frozenset({"ThrottlingException", "ModelNotReadyException", "ServiceUnavailable"})
_LONGEST_TEXT: Final = 500


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that came whole."""

    body: bytes
    content_type: str
    headers: Mapping[str, str]
    """Their names in lower case."""

    def json(self) -> Any:  # noqa: ANN401 - JSON is of any type
        """The body as JSON. Raises Invalid where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise Invalid(f"the answer is not JSON but {self.content_type}: {error}") from error


class Caller:
    """Sends calls with the same limits; their connections are kept and used again until `aclose`."""

    def __init__(
        self,
        limits: TimeLimits,
        retries: Retries,
        *,
        ca_bundle: Path | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._ca_bundle = ca_bundle
        self._limits = limits
        self._retries = retries
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    def begin(self) -> CallTime:
        """The clock of a call that begins now."""
        return CallTime(self._limits, self._clock)

    async def whole(self, request: HttpRequest) -> Response:
        """One answer. Raises CallFailed, Unreachable and TimedOut."""
        call_time = self.begin()
        response = await self.opened(request, call_time)
        try:
            body = await call_time.within("between_tokens", response.read())
        except aiohttp.ClientError as error:
            raise Unreachable(f"{request.url} closed the connection within its answer: {error}") from error
        finally:
            response.release()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Response(body, response.headers.get("Content-Type", ""), headers)

    async def opened(self, request: HttpRequest, call_time: CallTime) -> aiohttp.ClientResponse:
        """An answer that has begun and is no error; its body is to be read. Raises as `whole`."""
        for attempt in range(1, self._retries.attempts):
            try:
                return await self._try(request, call_time)
            except (CallFailed, Unreachable) as error:
                if not _may_help(error):
                    raise
            await call_time.within("total", asyncio.sleep(self._retries.wait_s(attempt)))
        return await self._try(request, call_time)

    async def get(self, url: str) -> int:
        """The status of a GET, which opens a connection for what comes next. Raises Unreachable, TimedOut."""
        call_time = self.begin()
        try:
            response = await call_time.within("first_byte", self._opened_session(url).get(url))
        except aiohttp.ConnectionTimeoutError:
            raise TimedOut("connect", self._limits.connect_s or 0.0) from None
        except aiohttp.ClientError as error:
            raise Unreachable(f"{url} does not answer: {error}") from error
        async with response:
            await call_time.within("between_tokens", response.read())
            return response.status

    async def aclose(self) -> None:
        """Close every connection, those of calls under way too."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _try(self, request: HttpRequest, call_time: CallTime) -> aiohttp.ClientResponse:
        sent = self._opened_session(request.url).post(request.url, data=request.body, headers=request.headers)
        try:
            response = await call_time.within("first_byte", sent)
        except aiohttp.ConnectionTimeoutError:
            raise TimedOut("connect", self._limits.connect_s or 0.0) from None
        except aiohttp.ClientError as error:
            raise Unreachable(f"{request.url} does not answer: {error}") from error
        if response.status != _OK:
            async with response:
                raise failure(response, await call_time.within("between_tokens", response.read()))
        return response

    def _opened_session(self, url: str) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=connector(url, self._ca_bundle),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect_s),
                auto_decompress=True,
            )
        return self._session


class AsyncByteStream:
    """The container's own bytes of a streamed answer, part by part; the call begins with the first one.

    Leave the `async with` block, or call `aclose()`, to end the call at once. Raises StreamFailed for an
    error inside the stream, CallFailed and Unreachable before it, TimedOut.
    """

    def __init__(self, caller: Caller, make: Callable[[], HttpRequest], body: StreamedBody) -> None:
        """`make` gives the request when the call begins: a signature is good for minutes."""
        self._caller = caller
        self._make = make
        self._body = body
        self._time = caller.begin()
        self._response: aiohttp.ClientResponse | None = None
        self._closed = False
        self._came = False
        self._parts: deque[bytes] = deque()
        self._failure: NearstreamError | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self._failure is not None:
                raise self._failure
            data = await self._read()
            if not data:
                self._take_end()
                raise StopAsyncIteration
            self._take(data)
        return self._parts.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the call: the connection is closed at once, unless its answer is whole already."""
        self._closed = True
        if self._response is not None:
            self._response.close()

    async def _read(self) -> bytes:
        """What came; b"" at the end."""
        if self._closed:
            return b""
        if self._response is None:
            self._response = await self._caller.opened(self._make(), self._time)
        try:
            data = await self._time.within(
                "between_tokens" if self._came else "first_byte", self._response.content.readany()
            )
        except (aiohttp.ClientError, OSError) as error:
            self._cut(error)
            return b""
        self._came = True
        return data

    def _cut(self, error: Exception) -> None:
        """The connection ended within the answer, which is a failure unless it was closed here."""
        if not self._closed:
            raise StreamFailed("ConnectionClosed", f"the connection was cut: {error}") from error

    def _take(self, data: bytes) -> None:
        """What came before an error is handed out before it is raised."""
        try:
            self._parts.extend(self._body.feed(data))
        except StreamFailed as error:
            self._failure = error
        except Invalid as error:
            self._failure = StreamFailed("InvalidStream", str(error))

    def _take_end(self) -> None:
        if self._closed:
            return
        try:
            self._body.end()
        except Invalid as error:
            raise StreamFailed("ConnectionClosed", str(error)) from error


def failure(response: aiohttp.ClientResponse, body: bytes) -> CallFailed:
    """An error answer in AWS's, TGI's, LMI's or OpenAI's words."""
    status = response.status
    named = response.headers.get("x-amzn-ErrorType", "").split(":")[0]
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        document = None
    match document:
        case {"error": {"message": str(message)} as error}:
            code = error.get("code") or error.get("type")
        case {"error": str(message)}:
            code = document.get("error_type")
        case {"message": str(message)} | {"Message": str(message)}:
            code = document.get("type") or str(document.get("__type", "")).partition("#")[2]
        case _:
            code, message = None, body.decode(errors="replace")[:_LONGEST_TEXT]
    return CallFailed(named or str(code or status), message, status=status)


def _may_help(error: NearstreamError) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, CallFailed):
        return error.status in _AGAIN_STATUSES or error.code in _AGAIN_CODES
    return isinstance(error, Unreachable)
