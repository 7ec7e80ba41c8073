"""The front door: reads a call, proves who sent it, hands it to its service, answers in its words."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from aiohttp import web

from nearstream.core.errors import NearstreamError
from nearstream.core.ports import Clock
from nearstream.frontdoor.objects import Objects
from nearstream.frontdoor.relay import Relay
from nearstream.frontdoor.view import SiteView
from nearstream.services import runtime
from nearstream.wire.aws import errors, jsonrpc, restjson, s3
from nearstream.wire.aws.answer import Answer
from nearstream.wire.aws.claim import RawRequest
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.service import ServiceDescription
from nearstream.wire.aws.sigv4 import Verifier

Operation = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

OWN_PATHS = ("/endpoints/", "/health", "/nearstream/")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Control:
    """A service of the JSON protocol: its description, and what each operation does."""

    description: ServiceDescription
    operations: Mapping[str, Operation]


class FrontDoor:
    """One handler for every request."""

    def __init__(  # noqa: PLR0913  # one part for each kind of call
        self,
        *,
        verifier: Verifier,
        clock: Clock,
        control: Control,
        relay: Relay,
        site: runtime.Site,
        view: SiteView,
        objects: Objects | None = None,
    ) -> None:
        self._verifier = verifier
        self._clock = clock
        self._control = control
        self._relay = relay
        self._site = site
        self._view = view
        self._objects = objects

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; a failure is answered too, in the words of the service that was called."""
        request_id = str(uuid.uuid4())
        try:
            return await self._route(request, request_id)
        except ConnectionError:
            raise  # the client has left; there is nobody to tell
        except NearstreamError as error:
            failure = errors.translate(error, errors.SAGEMAKER_RUNTIME)
        except Exception:
            log.exception("request failed", request_id=request_id, path=request.path)
            failure = AwsError(
                "InternalFailure", f"The request failed inside nearstream; id {request_id}.", 500
            )
        return _answered(restjson.failure(failure, request_id=request_id))

    async def _route(self, request: web.BaseRequest, request_id: str) -> web.StreamResponse:
        path, call = request.raw_path, _raw(request, None)
        if self._objects is not None and (
            s3.is_signed_for(call) or (s3.is_unsigned(call) and not path.startswith(OWN_PATHS))
        ):
            return await self._objects.handle(request, call, request_id)
        if path.startswith("/endpoints/"):
            return await self._invoke(request, request_id)
        if path == "/health":
            return _json(self._view.health(), 200 if self._view.healthy else 503)
        if path == "/nearstream/status":
            self._verify(request, b"")
            return _json(self._view.status())
        return await self._operate(request, request_id)

    async def _invoke(self, request: web.BaseRequest, request_id: str) -> web.StreamResponse:
        body = await _body(request)
        self._verify(request, body)
        invocation = runtime.parse(request.method, _path(request), request.headers)
        self._site.check(invocation, self._view.endpoint(invocation.endpoint))
        headers = {"x-amzn-RequestId": request_id}
        if invocation.streaming:
            return await self._relay.stream(invocation, body, headers, request)
        return await self._relay.answer(invocation, body, headers)

    async def _operate(self, request: web.BaseRequest, request_id: str) -> web.Response:
        service = self._control.description
        try:
            body = await _body(request)
            self._verify(request, body)
            name = jsonrpc.operation_name(service, request.headers.get("X-Amz-Target", ""))
            operation = self._control.operations[name]
            output = await operation(jsonrpc.parse(service, name, body))
            return _answered(jsonrpc.answer(service, name, output, request_id=request_id))
        except NearstreamError as error:
            failure = errors.translate(error, errors.SAGEMAKER)
            return _answered(jsonrpc.failure(service, failure, request_id=request_id))

    def _verify(self, request: web.BaseRequest, body: bytes) -> None:
        self._verifier.verify(_raw(request, body), now=self._clock())


async def _body(request: web.BaseRequest) -> bytes:
    """The whole body; one that is too large is refused before it is read, where its length was told."""
    runtime.check_body(request.content_length or 0)
    if request.headers.get("Expect", "").lower() == "100-continue":
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # type: ignore[union-attr]
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        runtime.check_body(runtime.MAX_BODY_BYTES + 1)
        raise AssertionError from error


def _raw(request: web.BaseRequest, body: bytes | None) -> RawRequest:
    path, _, query = request.raw_path.partition("?")
    return RawRequest(request.method, path, query, tuple(request.headers.items()), body)


def _path(request: web.BaseRequest) -> str:
    return request.raw_path.partition("?")[0]


def _answered(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def _json(document: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, content_type="application/json", body=msgspec.json.encode(document))
