"""Throttling on demand, in front of a front door."""

from __future__ import annotations

import threading
import uuid
from typing import Final

from aiohttp import web

from nearstream.frontdoor import api
from nearstream.frontdoor.listener import Handler
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.signed_request import RawRequest

_INVOCATIONS: Final = "/endpoints/"


class Throttle:
    """Refuses so many of the next invocations, as SageMaker refuses those above its rate."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = 0

    def next(self, calls: int) -> None:
        """Refuse the next `calls`."""
        with self._lock:
            self._left = calls

    def wrapped(self, handler: Handler) -> Handler:
        """`handler`, with the throttle before it."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            if request.path.startswith(_INVOCATIONS) and self._takes():
                await request.read()
                call = RawRequest(request.method, request.path, "", tuple(request.headers.items()), None)
                error = AwsError("ThrottlingException", "Rate exceeded", 400)
                return api.failure(call, error, str(uuid.uuid4()))
            return await handler(request)

        return handle

    def _takes(self) -> bool:
        with self._lock:
            takes = self._left > 0
            self._left -= takes
            return takes
