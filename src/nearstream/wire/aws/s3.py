"""Amazon S3's outside, as far as a relay in front of an object store needs it: whose call it is, its errors.

Follows the Amazon S3 API Reference: "Authenticating Requests", "Virtual hosting", "Error Responses".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from nearstream.wire.aws import canonical, claim
from nearstream.wire.aws.answer import Answer
from nearstream.wire.aws.claim import RawRequest
from nearstream.wire.aws.credentials import Lookup
from nearstream.wire.aws.errors import AwsError

SERVICE: Final = "s3"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SCOPE: Final = re.compile(r"(?:/|%2F)s3(?:/|%2F)aws4_request", re.IGNORECASE)
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CHUNKS_SIGNED: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_OK: Final = 200
_PARTIAL: Final = 206
_CONFLICT: Final = 409
_ECHOED: Final = ("x-amz-content-sha256", "x-amz-date", "x-amz-sdk-checksum-algorithm", "x-amz-trailer")
_CONDITIONS: Final = ("if-match", "if-none-match")


@dataclass(frozen=True, slots=True)
class Fault:
    """What S3 calls a failure that the verifier named in the words of other services."""

    code: str
    status: int
    message: str = ""


_FAULTS: Final[Mapping[str, Fault]] = {
    "MissingAuthenticationTokenException": Fault(
        "AccessDenied", 403, "Access Denied: the call is not signed."
    ),
    "UnrecognizedClientException": Fault(
        "InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."
    ),
    "InvalidSignatureException": Fault("SignatureDoesNotMatch", 403),
    "IncompleteSignatureException": Fault("AuthorizationHeaderMalformed", 400),
}


def is_signed_for(request: RawRequest) -> bool:
    """Whether a call says that it is signed for S3, in a header or presigned, by a version new or old."""
    authorization = _header(request, "authorization")
    if authorization:
        return authorization.startswith("AWS ") or bool(_SCOPE.search(authorization.partition(",")[0]))
    if "X-Amz-Credential=" in request.query:
        return bool(_SCOPE.search(request.query))
    return "AWSAccessKeyId=" in request.query


def is_unsigned(request: RawRequest) -> bool:
    """Whether nobody says that they sent a call that is of no other service's form."""
    signed = _header(request, "authorization") or "X-Amz-Credential=" in request.query
    return not signed and request.method != "POST"


def check_kind(request: RawRequest) -> None:
    """Raises AwsError for what the store behind would misunderstand: old signatures, conditional writes."""
    if _header(request, "authorization").startswith("AWS ") or "AWSAccessKeyId=" in request.query:
        raise AwsError(
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256"
            " (boto3: Config(signature_version='s3v4')).",
        )
    given = [name for name in _CONDITIONS if _header(request, name)]
    if given and request.method in ("PUT", "POST"):
        raise AwsError("NotImplemented", f"Conditional writes are not implemented here: {given[0]}.", 501)


def signed_hash(request: RawRequest) -> str | None:
    """The SHA-256 of the body that the caller signed, in hex; None: the body is not signed as a whole."""
    declared = _header(request, "x-amz-content-sha256")
    return declared if _SHA256.fullmatch(declared) else None


def mismatch() -> AwsError:
    """The body is not the one that was signed."""
    return AwsError(
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )


def bucket_of(request: RawRequest, bases: Collection[str]) -> str | None:
    """The bucket that the Host header names, `bucket.base:port`, or None."""
    host = _header(request, "host")
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if _is_address(name):
        return None
    for base in bases:
        bucket = name.removesuffix(f".{base}")
        if bucket != name and _BUCKET.fullmatch(bucket):
            return bucket
    return None


def path_style(request: RawRequest, bucket: str, lookup: Lookup) -> RawRequest:
    """A verified virtual-host-style call as path style, signed anew. Raises AwsError where that cannot be."""
    if any(_CHUNKS_SIGNED in value for _, value in request.headers):
        message = "Signed chunks are taken with path-style addresses only: put the bucket into the path."
        raise AwsError("NotImplemented", message, 501)
    claimed = claim.read(request)
    credential = lookup(claimed.access_key)
    if credential is None:
        raise AwsError("UnrecognizedClientException", "The access key is gone.", 403)
    presigned = claimed.expires_s is not None
    path = f"/{bucket}{request.path}"
    body_hash = claimed.headers.get("x-amz-content-sha256", canonical.UNSIGNED_PAYLOAD)
    signature = canonical.signature(
        canonical.signing_key(credential.secret_key, claimed.date, claimed.region, claimed.service),
        timestamp=claimed.timestamp,
        scope=claimed.scope,
        canonical_request=canonical.request(
            request.method,
            path,
            canonical.query(request.query, leave_out="X-Amz-Signature" if presigned else ""),
            [(name, claimed.headers[name]) for name in claimed.signed_headers],
            body_hash,
        ),
    )
    swapped = [
        (name, value.replace(claimed.signature, signature) if name.lower() == "authorization" else value)
        for name, value in request.headers
    ]
    query = request.query.replace(claimed.signature, signature) if presigned else request.query
    return replace(request, path=path, query=query, headers=swapped)


def is_made_again(request: RawRequest, status: int) -> bool:
    """Whether the answer to a call says that the bucket it makes is there already."""
    return (
        request.method == "PUT"
        and not request.query
        and "/" not in request.path.strip("/")
        and status == _CONFLICT
    )


def made_again(request: RawRequest, region: str) -> Answer:
    """What an owner is told who makes a bucket again: in the oldest region, "made". Raises AwsError."""
    if region != "us-east-1":
        message = "Your previous request to create the named bucket succeeded and you already own it."
        raise AwsError("BucketAlreadyOwnedByYou", message, 409)
    return Answer(_OK, {"Location": request.path})


def answer_head(status: int, headers: Iterable[tuple[str, str]]) -> tuple[int, list[tuple[str, str]]]:
    """The store's status and headers as S3 has them: names in lower case, nothing of the upload's own call.

    A part of an object is a 206 without the whole's checksum, which boto3 would hold the part against.
    """
    lower = [(name.lower(), value) for name, value in headers]
    partial = any(name == "content-range" for name, _ in lower)
    return _PARTIAL if partial and status == _OK else status, [
        (name, value)
        for name, value in lower
        if name not in _ECHOED
        and not name.startswith("access-control-")
        and (name, value) != ("content-encoding", "aws-chunked")
        and not (partial and name.startswith("x-amz-checksum-"))
    ]


def failure(error: AwsError, *, resource: str, request_id: str) -> Answer:
    """An error as S3 writes it."""
    fault = _FAULTS.get(error.code, Fault(error.code, error.status))
    words = {
        "Code": fault.code,
        "Message": fault.message or error.message,
        "Resource": quote(resource, safe="/%"),
        "RequestId": request_id,
    }
    return Answer(
        fault.status,
        {"Content-Type": "application/xml", "x-amz-request-id": request_id},
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{_elements(list(words.items()))}</Error>'.encode(),
    )


def _header(request: RawRequest, wanted: str) -> str:
    return next((value for name, value in request.headers if name.lower() == wanted), "")


def _elements(words: Sequence[tuple[str, str]]) -> str:
    return "".join(f"<{name}>{escape(text)}</{name}>" for name, text in words)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
