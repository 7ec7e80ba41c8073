"""Receives the bodies of calls for S3: in slices, off the loop, held against what was signed of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from nearstream.connections.checks import BodyStalled
from nearstream.deploy.objectstore.store import ObjectStore
from nearstream.wire.aws.credentials import Principal
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.s3.payload import Payload, Received
from nearstream.wire.aws.s3.request import S3Request
from nearstream.wire.aws.signed_request import SignedRequest

# How long a client may send nothing in the middle of a body.
IDLE_S: Final = 60.0
# Hashed and written at once; two of them are all that is held of a body.
SLICE_BYTES: Final = 1024 * 1024
# Left free on the disk for what else a home writes.
RESERVE_BYTES: Final = 64 * 1024 * 1024
LARGEST_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Signed:
    """A call for S3 whose signature was proven; its body is still to come."""

    web: web.BaseRequest
    request: S3Request
    claim: SignedRequest
    principal: Principal
    secret_key: str
    id: str

    def payload(self) -> Payload:
        """Raises AwsError for a body that its head rules out already."""
        return Payload(self.request, self.claim, self.secret_key)


async def receive(
    store: ObjectStore, signed: Signed, payload: Payload, sink: Callable[[bytes], None]
) -> Received:
    """Have the body sent and give all of it to `sink`. Raises AwsError, OSError of the sink's."""

    def take(data: bytes) -> None:
        sink(payload.feed(data))

    _invite(signed.web)
    buffer = bytearray()
    while piece := await _piece(signed.web):
        buffer += piece
        if len(buffer) >= SLICE_BYTES:
            await store.run(take, bytes(buffer))
            buffer.clear()
    if buffer:
        await store.run(take, bytes(buffer))
    return payload.finish()


async def document(store: ObjectStore, signed: Signed) -> bytes:
    """A body that is an XML document, or nothing. Raises AwsError."""
    payload = signed.payload()
    if payload.length > LARGEST_DOCUMENT_BYTES:
        message = f"Your request was too big: {payload.length} bytes, {LARGEST_DOCUMENT_BYTES} at most."
        raise AwsError("MaxMessageLengthExceeded", message)
    pieces: list[bytes] = []
    await receive(store, signed, payload, pieces.append)
    return b"".join(pieces)


def check_space(store: ObjectStore, wanted_bytes: int) -> None:
    """Raises AwsError; not one that boto3 tries again."""
    free = store.free_bytes()
    if free < wanted_bytes + RESERVE_BYTES:
        raise AwsError(
            "InsufficientStorage",
            f"The disk of {store.data} is full: {free >> 20} MiB are free, "
            f"{(wanted_bytes + RESERVE_BYTES) >> 20} MiB are needed. "
            "Free some, or delete objects.",
            507,
        )


def _invite(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to send the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(_CONTINUE)


async def _piece(request: web.BaseRequest) -> bytes:
    try:
        async with asyncio.timeout(IDLE_S):
            return await request.content.readany()
    except TimeoutError:
        raise AwsError(
            "RequestTimeout",
            "Your socket connection to the server was not read from or written to within the timeout period:"
            f" {IDLE_S:g} seconds.",
        ) from None
    except BodyStalled as error:
        raise AwsError("RequestTimeout", f"The body did not come: {error.reason}.") from None
    except web.RequestPayloadError:
        message = "You did not provide the number of bytes specified by the Content-Length HTTP header."
        raise AwsError("IncompleteBody", message) from None
