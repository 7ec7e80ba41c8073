"""Calls of the SageMaker runtime: read and proven here, answered by a replica."""

from __future__ import annotations

from aiohttp import web

from nearstream.frontdoor.access import Access
from nearstream.frontdoor.relay import Relay
from nearstream.frontdoor.view import SiteView
from nearstream.services.runtime.invocations import Runtime
from nearstream.wire.aws import invocation
from nearstream.wire.aws.signed_request import RawRequest


class Invocations:
    """InvokeEndpoint and InvokeEndpointWithResponseStream."""

    def __init__(self, runtime: Runtime, relay: Relay, view: SiteView, access: Access) -> None:
        self._runtime = runtime
        self._relay = relay
        self._view = view
        self._access = access

    async def handle(self, request: web.BaseRequest, call: RawRequest, request_id: str) -> web.StreamResponse:
        """Answer one call. Raises domain errors before the first byte; after it a failure is a frame."""
        metrics = self._relay.metrics
        arrived_at = metrics.clock()
        async with self._access.proven_body(request, call) as body:
            invoked = invocation.parse(request.method, call.path, request.headers)
            endpoint = self._view.endpoint(invoked.endpoint)
            # Only names of endpoints that exist: a client must not create metric series.
            with metrics.call(endpoint.name if endpoint else "", arrived_at=arrived_at) as timer:
                self._runtime.check(invoked, endpoint)
                headers = {"x-amzn-RequestId": request_id}
                if invoked.streaming:
                    return await self._relay.stream(invoked, body, headers, request, timer)
                return await self._relay.answer(invoked, body, headers, timer)
