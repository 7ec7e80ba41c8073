"""Proves calls for S3 and hands each to what answers its operation; failures in S3's words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from nearstream.core.errors import NearstreamError
from nearstream.core.ports import Clock
from nearstream.deploy.objectstore.store import ObjectStore
from nearstream.deploy.objectstore.uploads import Uploads
from nearstream.frontdoor.objects import answers, buckets, listings, multipart, reading, writing
from nearstream.frontdoor.objects.bodies import Signed
from nearstream.wire.aws.credentials import Lookup
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.s3 import operations, request
from nearstream.wire.aws.s3.payload import declared_hash
from nearstream.wire.aws.signed_request import RawRequest
from nearstream.wire.aws.sigv4 import Verifier

Handler = Callable[[ObjectStore, Signed], Awaitable[web.StreamResponse]]
PartsHandler = Callable[[ObjectStore, Uploads, Signed], Awaitable[web.StreamResponse]]

HANDLERS: Final[Mapping[str, Handler]] = {
    "ListBuckets": buckets.list_buckets,
    "CreateBucket": buckets.create_bucket,
    "HeadBucket": buckets.head_bucket,
    "DeleteBucket": buckets.delete_bucket,
    "GetBucketLocation": buckets.location,
    "ListObjects": listings.list_objects,
    "ListObjectsV2": listings.list_objects_v2,
    "ListObjectVersions": listings.list_versions,
    "PutObject": writing.put_object,
    "CopyObject": writing.copy_object,
    "GetObject": reading.get_object,
    "HeadObject": reading.get_object,
    "DeleteObject": writing.delete_object,
    "DeleteObjects": writing.delete_objects,
}
PARTS_HANDLERS: Final[Mapping[str, PartsHandler]] = {
    "ListMultipartUploads": listings.list_uploads,
    "CreateMultipartUpload": multipart.create,
    "UploadPart": multipart.put_part,
    "UploadPartCopy": multipart.copy_part,
    "ListParts": multipart.list_parts,
    "CompleteMultipartUpload": multipart.complete,
    "AbortMultipartUpload": multipart.abort,
}


log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Objects lie in an S3 of its own at `url`. A call's host is signed, so it cannot be handed on."""

    url: str


class Objects:
    """The S3 side of the front door. `hosts` are its names: `bucket.name` addresses a bucket."""

    def __init__(
        self,
        store: ObjectStore | Elsewhere,
        *,
        lookup: Lookup,
        clock: Clock,
        hosts: frozenset[str] = frozenset({"localhost"}),
    ) -> None:
        self._store = store
        self._uploads = None if isinstance(store, Elsewhere) else Uploads(store)
        self._verifier = Verifier(lookup, services=frozenset({request.SERVICE}))
        self._lookup = lookup
        self._clock = clock
        self._hosts = hosts

    async def handle(
        self, web_request: web.BaseRequest, call: RawRequest, request_id: str
    ) -> web.StreamResponse:
        """Answer one call, read up to its body."""
        try:
            store = self._here(call)
            return await self._answer(store, self._prove(web_request, call, request_id))
        except ConnectionError:
            raise  # the client has left
        except (NearstreamError, OSError) as error:
            answer = answers.failed(error, call.path, request_id)
        except Exception:
            log.exception("call for S3 failed", request_id=request_id, path=call.path)
            broken = AwsError("InternalError", "We encountered an internal error. Please try again.", 500)
            answer = answers.failed(broken, call.path, request_id)
        return answers.response(web_request, answer, request_id)

    def _here(self, call: RawRequest) -> ObjectStore:
        """Raises AwsError where the objects lie elsewhere."""
        if isinstance(self._store, Elsewhere):
            raise _elsewhere(call, self._store.url)
        return self._store

    def _prove(self, web_request: web.BaseRequest, call: RawRequest, request_id: str) -> Signed:
        """Raises AwsError."""
        request.check_signature_version(call)
        claimed = self._verifier.check(call, now=self._clock())
        principal = self._verifier.prove(claimed, call, None)
        credential = self._lookup(claimed.access_key)
        read = request.read(call, self._hosts)
        declared_hash(read, claimed)
        expected = read.headers.get("x-amz-expected-bucket-owner", principal.account)
        if expected != principal.account:
            raise AwsError("AccessDenied", "Access Denied: the bucket has another owner.", 403)
        secret = "" if credential is None else credential.secret_key
        return Signed(web_request, read, claimed, principal, secret, request_id)

    async def _answer(self, store: ObjectStore, signed: Signed) -> web.StreamResponse:
        name = operations.name_of(signed.request)
        operations.check_headers(signed.request)
        if name in HANDLERS:
            return await HANDLERS[name](store, signed)
        if name in PARTS_HANDLERS and self._uploads is not None:
            return await PARTS_HANDLERS[name](store, self._uploads, signed)
        return await buckets.unset(store, signed, name)


def _elsewhere(call: RawRequest, url: str) -> AwsError:
    if not request.is_signed_for(call):
        return AwsError("AccessDenied", "Access Denied: the call is not signed.", 403)
    return AwsError(
        "InvalidRequest",
        f"This site keeps no objects: they lie at {url}. Name that as S3's endpoint (AWS_ENDPOINT_URL_S3), "
        "with its keys.",
    )
