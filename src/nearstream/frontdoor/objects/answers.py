"""Sends the answers to calls for S3: documents at once, or after the work that they wait for."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Mapping
from typing import Final, TypeVar

import structlog
from aiohttp import web

from nearstream.core.errors import NearstreamError
from nearstream.frontdoor.objects.bodies import Signed
from nearstream.frontdoor.pages import readable
from nearstream.wire.aws.errors import AwsError, Codes, translate
from nearstream.wire.aws.response import AwsResponse
from nearstream.wire.aws.s3 import errors
from nearstream.wire.aws.s3.xml import DECLARATION, Pairs, document

# How often a client that waits for a long copy is sent a blank, as S3 does.
KEEPALIVE_S: Final = 10.0
# How long a client may take nothing of an answer.
STALLED_S: Final = 60.0

CODES: Final[Codes] = {NearstreamError: "InternalError"}
STATUSES: Final[Mapping[str, int]] = {
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "OperationAborted": 409,
    "PreconditionFailed": 412,
    "SlowDown": 503,
}

R = TypeVar("R", bound=web.StreamResponse)
log = structlog.get_logger()


def empty(status: int = 200, headers: Mapping[str, str] | None = None) -> AwsResponse:
    return AwsResponse(status, headers or {})


def xml(name: str, content: str | Pairs) -> AwsResponse:
    return AwsResponse(200, {"Content-Type": "application/xml"}, document(name, content))


def failed(error: Exception, resource: str, request_id: str) -> AwsResponse:
    """The answer to a call that failed, in S3's form."""
    return errors.failure(_translated(error, request_id), resource=resource, request_id=request_id)


def sent(signed: Signed, answer: AwsResponse) -> web.Response:
    return response(signed.web, answer, signed.id)


def response(request: web.BaseRequest, answer: AwsResponse, request_id: str) -> web.Response:
    """An answer as aiohttp sends it; a HEAD has none of its body."""
    made = web.Response(
        status=answer.status,
        headers={**answer.headers, "x-amz-request-id": request_id},
        body=b"" if request.method == "HEAD" else answer.body,
    )
    return closing(request, made)


def closing(request: web.BaseRequest, response: R) -> R:
    """An answer before the body ends the connection: a client that waits for 100 Continue never sends it."""
    if not request.content.is_eof():
        response.force_close()
    return readable(request, response)


async def write(response: web.StreamResponse, data: bytes) -> None:
    """Raises ConnectionResetError for a client that takes nothing for long."""
    try:
        async with asyncio.timeout(STALLED_S):
            await response.write(data)
    except TimeoutError:
        raise ConnectionResetError(f"the client took nothing for {STALLED_S:g} s") from None


async def patiently(signed: Signed, work: Awaitable[tuple[str, Pairs]]) -> web.StreamResponse:
    """The document that `work` ends with. While it lasts long, the answer has begun and blanks follow.

    A failure after that is a document of status 200, as on S3; SDKs look for it.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=KEEPALIVE_S)
        if task.done():
            name, pairs = task.result()
            return sent(signed, xml(name, pairs))
        headers = {"Content-Type": "application/xml", "x-amz-request-id": signed.id}
        response = closing(signed.web, web.StreamResponse(headers=headers))
        await response.prepare(signed.web)
        await write(response, DECLARATION)
        while not task.done():
            await write(response, b" ")
            await asyncio.wait([task], timeout=KEEPALIVE_S)
        await write(response, _end(task, signed))
        await response.write_eof()
    finally:
        task.cancel()
    return response


def _end(task: asyncio.Future[tuple[str, Pairs]], signed: Signed) -> bytes:
    error = task.exception()
    if error is None:
        name, pairs = task.result()
        return document(name, pairs, declared=False)
    return errors.body(
        _translated(error, signed.id), resource=signed.web.path, request_id=signed.id, declared=False
    )


def _translated(error: BaseException, request_id: str) -> AwsError:
    if isinstance(error, NearstreamError):
        return translate(error, CODES, STATUSES)
    if isinstance(error, OSError) and error.errno is not None and error.errno in _FULL:
        return AwsError("InsufficientStorage", "The disk is full: free some, or delete objects.", 507)
    log.error("call for S3 failed", request_id=request_id, exc_info=error)
    return AwsError("InternalError", "We encountered an internal error. Please try again.", 500)


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
