"""Verifies who sent a call, from its headers before its body is read, and bounds the bodies in memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from nearstream.connections.checks import BodyStalled
from nearstream.core.ports import Clock
from nearstream.services.service import Caller
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.signed_request import RawRequest
from nearstream.wire.aws.sigv4 import Verifier

MAX_BODY_BYTES: Final = 25 * 1024 * 1024
BODY_TIMEOUT_S: Final = 120.0
"""How long a body may take to come."""

UNPROVEN_BYTES: Final = 96 * 1024 * 1024
HELD_BYTES: Final = 512 * 1024 * 1024
"""Bodies in memory, of all calls together: those that are coming in, and those whose sender is proven."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodyBudget:
    """Bytes of bodies that may be held at once; a body that goes over it is refused."""

    def __init__(self, *, unproven_bytes: int = UNPROVEN_BYTES, held_bytes: int = HELD_BYTES) -> None:
        self.unproven = Allowance(unproven_bytes)
        self.held = Allowance(held_bytes)


class Allowance:
    """A number of bytes that calls share."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, count: int) -> None:
        """Raises AwsError ThrottlingException, which clients try again, when too little is left."""
        if self.used_bytes + count > self._limit_bytes:
            raise AwsError(
                "ThrottlingException",
                f"The bodies of all calls together are over {self._limit_bytes >> 20} MiB now; try again.",
                429,
            )
        self.used_bytes += count

    def give_back(self, count: int) -> None:
        self.used_bytes -= count


class Access:
    """Reads the bodies of calls whose signature holds."""

    def __init__(self, verifier: Verifier, clock: Clock, budget: BodyBudget | None = None) -> None:
        self._verifier = verifier
        self._clock = clock
        self._budget = budget or BodyBudget()

    def check_bodiless(self, call: RawRequest) -> None:
        """Raise AwsError unless a call that has no body is signed as it should be."""
        signed = self._verifier.check(call, now=self._clock())
        self._verifier.prove(signed, call, hashlib.sha256(b"").hexdigest())

    def caller(self, call: RawRequest) -> Caller:
        """Who made a call whose signature was proven. Raises AwsError where its key was removed since."""
        known = self._verifier.known(call)
        return Caller(known.access_key, known.account, known.arn)

    @asynccontextmanager
    async def proven_body(self, request: web.BaseRequest, call: RawRequest) -> AsyncGenerator[bytes]:
        """The body of a call whose sender is proven; its bytes count as held until the block ends.

        Key, scope and date are checked from the headers before the body is read. Raises AwsError.
        """
        check_size(request.content_length or 0)
        signed = self._verifier.check(call, now=self._clock())
        pieces: list[bytes] = []
        size_bytes, hashed = 0, hashlib.sha256()
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                async for piece in _pieces(request):
                    self._budget.unproven.take(len(piece))
                    pieces.append(piece)
                    size_bytes += len(piece)
                    check_size(size_bytes)
                    hashed.update(piece)
            self._verifier.prove(signed, call, hashed.hexdigest())
            self._budget.held.take(size_bytes)
        except TimeoutError:
            message = f"The body did not come within {BODY_TIMEOUT_S:g} seconds; {size_bytes} bytes came."
            raise AwsError("RequestTimeoutException", message, 408) from None
        finally:
            self._budget.unproven.give_back(size_bytes)
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        try:
            yield body
        finally:
            self._budget.held.give_back(size_bytes)


async def _pieces(request: web.BaseRequest) -> AsyncGenerator[bytes]:
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(_CONTINUE)
    try:
        while piece := await request.content.readany():
            yield piece
    except BodyStalled as error:
        raise AwsError("RequestTimeoutException", f"The body did not come: {error.reason}.", 408) from None
    except web.RequestPayloadError:
        message = "The body is not in the chunks, or of the length, that its headers announce."
        raise AwsError("ValidationError", message, 400) from None


def check_size(size_bytes: int) -> None:
    """Raise AwsError ValidationError (413) for a body that is too large."""
    if size_bytes > MAX_BODY_BYTES:
        message = (
            f"1 validation error detected: Value of {size_bytes} bytes at 'body' failed to satisfy"
            f" constraint: Member must have length less than or equal to {MAX_BODY_BYTES}"
        )
        raise AwsError("ValidationError", message, 413)
