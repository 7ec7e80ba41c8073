"""The body of an upload, as it comes off the wire, held against all that its head says of it.

Follows the S3 API Reference, "Authenticating Requests" (`x-amz-content-sha256`, `aws-chunked`), and the User
Guide's "Checking object integrity".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nearstream.wire.aws import canonical
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.s3 import checksums
from nearstream.wire.aws.s3.chunks import ChunkReader, ChunkSigner
from nearstream.wire.aws.s3.errors import not_implemented
from nearstream.wire.aws.s3.request import S3Request, number
from nearstream.wire.aws.signed_request import SignedRequest

LARGEST_BYTES: Final = 10**16
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SIGNED: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_TRAILER: Final = "-TRAILER"
_UNSIGNED_TRAILER: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_CHUNKED: Final = frozenset({_SIGNED, _SIGNED + _TRAILER, _UNSIGNED_TRAILER})


@dataclass(frozen=True, slots=True)
class Received:
    """A whole body: its length, its MD5 in hex, and the checksums that were sent with it, in base64."""

    size: int
    md5: str
    checksums: Mapping[str, str]


class Payload:
    """`feed` gives the object's bytes; only when `finish` returned they are what was signed."""

    def __init__(self, request: S3Request, claim: SignedRequest, secret_key: str) -> None:
        """Raises AwsError for a head that contradicts itself or names what cannot be computed."""
        self._declared = declared_hash(request, claim)
        self.length = _length(request, chunked=self._declared in _CHUNKED)
        self._wanted = checksums.announced(request)
        self._md5_wanted = checksums.content_md5(request)
        self._hashes = {name: checksums.maker(name)() for name in self._wanted}
        for name, value in self._wanted.items():
            if value is not None and not checksums.is_digest(name, value):
                message = f"Value for x-amz-checksum-{name} header is invalid."
                raise AwsError("InvalidRequest", message)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256() if _SHA256.fullmatch(self._declared) else None
        self._chunks = _chunk_reader(self._declared, claim, secret_key)
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """What of `data` belongs to the object. Raises AwsError."""
        if self._sha256 is not None:
            self._sha256.update(data)
        if self._chunks is not None:
            data = self._chunks.feed(data)
        self._size += len(data)
        if self._size > self.length:
            raise AwsError("InvalidRequest", f"The body is longer than the {self.length} bytes announced.")
        self._md5.update(data)
        for each in self._hashes.values():
            each.update(data)
        return data

    def finish(self) -> Received:
        """Raises AwsError unless the body was whole, and the one that was signed."""
        trailer = self._chunks.finish() if self._chunks is not None else {}
        if self._size != self.length:
            raise AwsError(
                "IncompleteBody",
                "You did not provide the number of bytes specified by the Content-Length HTTP header:"
                f" {self._size} of {self.length} came.",
            )
        if self._sha256 is not None and not hmac.compare_digest(self._sha256.hexdigest(), self._declared):
            raise AwsError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        if self._md5_wanted is not None and self._md5.digest() != self._md5_wanted:
            raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.")
        return Received(self._size, self._md5.hexdigest(), self._checksums(trailer))

    def _checksums(self, trailer: Mapping[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, announced in self._wanted.items():
            sent = announced if announced is not None else trailer.get(checksums.PREFIX + name)
            found[name] = checksums.text(self._hashes[name])
            if sent is None:
                message = f"The trailer {checksums.PREFIX}{name} was announced and did not come."
                raise AwsError("MalformedTrailerError", message)
            if sent != found[name]:
                message = f"The {name.upper()} you specified did not match the calculated checksum."
                raise AwsError("BadDigest", message)
        return found


def declared_hash(request: S3Request, claim: SignedRequest) -> str:
    """What `x-amz-content-sha256` says that is signed of the body. Raises AwsError for what says nothing."""
    default = canonical.UNSIGNED_PAYLOAD if claim.expires_s is not None else ""
    declared = request.headers.get("x-amz-content-sha256", default)
    if declared.startswith("STREAMING-AWS4-ECDSA-"):
        raise not_implemented(f"x-amz-content-sha256: {declared[:80]} is not implemented here: use SigV4.")
    if declared in _CHUNKED or declared == canonical.UNSIGNED_PAYLOAD or _SHA256.fullmatch(declared):
        return declared
    raise AwsError(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER,"
        " STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256"
        f" value, and is `{declared[:80]}`.",
    )


def _length(request: S3Request, *, chunked: bool) -> int:
    name = "x-amz-decoded-content-length" if chunked else "content-length"
    length = number(request.headers.get(name), least=0, most=LARGEST_BYTES, name=name)
    if length is None:
        if request.headers.get("transfer-encoding") or chunked:
            message = f"You must provide the length of the object in {name.title()}."
            raise AwsError("MissingContentLength", message, 411)
        return 0
    return length


def _chunk_reader(declared: str, claim: SignedRequest, secret_key: str) -> ChunkReader | None:
    if declared not in _CHUNKED:
        return None
    if declared == _UNSIGNED_TRAILER:
        return ChunkReader(None, trailed=True)
    key = canonical.signing_key(secret_key, claim.date, claim.region, claim.service)
    signer = ChunkSigner(key, timestamp=claim.timestamp, scope=claim.scope, seed=claim.signature)
    return ChunkReader(signer, trailed=declared.endswith(_TRAILER))
