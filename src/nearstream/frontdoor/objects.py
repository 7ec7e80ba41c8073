"""Hands calls for S3 to the site's object store and its answers back, as they are, of any size.

The store proves callers too, but holds no body against the hash that was signed; so both is done here.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

import structlog
from aiohttp import web
from multidict import CIMultiDict

from nearstream.core.ports import Clock
from nearstream.core.replicas import UnixSocket
from nearstream.frontdoor.upstream.client import Call, Upstreams
from nearstream.frontdoor.upstream.connection import BodyWithheld, Connection, ReplicaGone
from nearstream.wire.aws import s3
from nearstream.wire.aws.claim import RawRequest
from nearstream.wire.aws.credentials import Lookup
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.sigv4 import Verifier
from nearstream.wire.framing.http1 import end_to_end

# How long a call waits for a store that starts, and for one that is known to be broken.
START_WAIT_S: Final = 10.0
BROKEN_WAIT_S: Final = 2.0
# Left free on the disk for what else a home writes.
RESERVE_BYTES: Final = 64 * 1024 * 1024
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_SERVER_ERROR: Final = 500

R = TypeVar("R", bound=web.StreamResponse)

log = structlog.get_logger()


class Store(Protocol):
    """An object store on this machine; see deploy.objectstore."""

    @property
    def socket(self) -> str:
        """Where it listens."""

    @property
    def problem(self) -> str | None:
        """Why nobody listens there, if that is known."""

    @property
    def data(self) -> Path:
        """The folder of its buckets."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Objects lie in an S3 of its own at `url`. A call's host is signed, so it cannot be handed on."""

    url: str


class Objects:
    """The S3 side of the front door. `hosts` are its names: `bucket.name` addresses a bucket."""

    def __init__(
        self,
        store: Store | Elsewhere,
        *,
        upstreams: Upstreams,
        lookup: Lookup,
        clock: Clock,
        hosts: frozenset[str] = frozenset({"localhost"}),
    ) -> None:
        self._store = store
        self._upstreams = upstreams
        self._verifier = Verifier(lookup, services=frozenset({s3.SERVICE}))
        self._lookup = lookup
        self._clock = clock
        self._hosts = hosts

    async def handle(self, request: web.BaseRequest, call: RawRequest, request_id: str) -> web.StreamResponse:
        """Answer one call, read up to its body; a failure in S3's words."""
        try:
            if isinstance(self._store, Elsewhere):
                raise _elsewhere(call, self._store.url)
            s3.check_kind(call)
            region = self._verifier.verify(call, now=self._clock()).region
            if request.method == "PUT":
                _check_space(self._store.data, request.content_length or 0)
            bucket = s3.bucket_of(call, self._hosts)
            if bucket is not None:
                call = s3.path_style(call, bucket, self._lookup)
            return await self._relay(self._store, request, call, region)
        except AwsError as error:
            answer = s3.failure(error, resource=call.path, request_id=request_id)
            body = b"" if request.method == "HEAD" else answer.body
            return _closing(request, web.Response(status=answer.status, headers=answer.headers, body=body))

    async def _relay(
        self, store: Store, request: web.BaseRequest, call: RawRequest, region: str
    ) -> web.StreamResponse:
        """Raises AwsError before the first byte; after it a failure cuts the answer short, which tells it."""
        body, response = _Body(request, s3.signed_hash(call)), None
        target = f"{call.path}?{call.query}" if call.query else call.path
        try:
            async with (
                aclosing(body.pieces()) as pieces,
                self._upstreams.stream(
                    UnixSocket(store.socket),
                    Call(call.method, target, call.headers),
                    pieces,
                    on_continue=body.invite,
                    wait_s=BROKEN_WAIT_S if store.problem else START_WAIT_S,
                ) as way,
            ):
                if way.head.status >= _SERVER_ERROR and request.method in ("PUT", "POST"):
                    _check_space(store.data, 0)
                if s3.is_made_again(call, way.head.status):
                    answer = s3.made_again(call, region)
                    return _closing(request, web.Response(status=answer.status, headers=answer.headers))
                response = _closing(request, _begun(way))
                await response.prepare(request)
                async for piece in way.pieces():
                    await response.write(piece)
        except ReplicaGone as error:
            if body.is_false:
                raise s3.mismatch() from None
            log.warning("object store broke", error=str(error), problem=store.problem)
            if response is not None:
                raise ConnectionResetError(str(error)) from error
            said = store.problem or "The object store went away; try again."
            raise AwsError("ServiceUnavailable", said, 503) from None
        await response.write_eof()
        return response


class _Body:
    """A call's body as it comes; its last piece only when the whole has the hash that was signed."""

    def __init__(self, request: web.BaseRequest, signed_hash: str | None) -> None:
        self._request = request
        self._signed_hash = signed_hash
        self.is_false = False

    def invite(self) -> None:
        """Tell a client that waits for it to send the body."""
        if self._request.transport is not None:
            self._request.transport.write(_CONTINUE)

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Raises BodyWithheld when the hash is wrong, or the client has left."""
        hashed, held = hashlib.sha256(), b""
        while piece := await self._next():
            if self._signed_hash is not None:
                hashed.update(piece)
            if held:
                yield held
            held = piece
        if self._signed_hash is not None and hashed.hexdigest() != self._signed_hash:
            self.is_false = True
            raise BodyWithheld
        if held:
            yield held

    async def _next(self) -> bytes:
        try:
            return await self._request.content.readany()
        except OSError as error:
            raise BodyWithheld from error


def _closing(request: web.BaseRequest, response: R) -> R:
    """An answer before the body has come ends the connection: who was not invited never sends it."""
    if not request.content.is_eof():
        response.force_close()
    return response


def _begun(way: Connection) -> web.StreamResponse:
    told = [one for one in end_to_end(way.head.headers.items()) if one[0].lower() != "content-length"]
    status, headers = s3.answer_head(way.head.status, told)
    response = web.StreamResponse(status=status, headers=CIMultiDict(headers))
    length = way.head.headers.get("Content-Length")
    response.content_length = None if length is None else int(length)
    return response


def _check_space(data: Path, wanted_bytes: int) -> None:
    """Raises AwsError; not one that boto3 tries again."""
    free = shutil.disk_usage(data).free
    if free < wanted_bytes + RESERVE_BYTES:
        raise AwsError(
            "InsufficientStorage",
            f"The disk of {data} is full: {free >> 20} MiB are free, "
            f"{(wanted_bytes + RESERVE_BYTES) >> 20} MiB are needed. "
            "Free some, or delete objects.",
            507,
        )


def _elsewhere(call: RawRequest, url: str) -> AwsError:
    if not s3.is_signed_for(call):
        return AwsError("AccessDenied", "Access Denied: the call is not signed.", 403)
    return AwsError(
        "InvalidRequest",
        f"This site keeps no objects: they lie at {url}. Name that as S3's endpoint (AWS_ENDPOINT_URL_S3), "
        "with its keys.",
    )
