"""Which operation of Amazon S3 a request is, and which of them are served.

S3 tells its operations apart by method, by path and by parameters in the query, a sub-resource among them
(`?tagging`). A parameter that no served operation takes is refused: the rest of such a request reads like
PutObject or DeleteBucket, and would destroy what it was not meant for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.s3.errors import not_implemented
from nearstream.wire.aws.s3.request import S3Request
from nearstream.wire.aws.s3.xml import Pairs

SITE, BUCKET, OBJECT = "site", "bucket", "object"


@dataclass(frozen=True, slots=True)
class Route:
    """What a request of one operation looks like: `names` must be in its query, `takes` may be."""

    method: str
    level: str
    names: frozenset[str] = frozenset()
    takes: frozenset[str] = frozenset()
    copies: bool = False
    """Whether it has `x-amz-copy-source`."""


@dataclass(frozen=True, slots=True)
class Unset:
    """The answer to a read of a configuration that was never made: an error, or a document."""

    code: str = ""
    message: str = ""
    status: int = 404
    document: str = ""
    pairs: Pairs = ()


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LISTING: Final = "prefix delimiter max-keys encoding-type"
_READING: Final = _set(
    "versionId response-cache-control response-content-disposition response-content-encoding"
    " response-content-language response-content-type response-expires"
)

SERVED: Final[Mapping[str, Route]] = {
    "ListBuckets": Route("GET", SITE, takes=_set("max-buckets prefix continuation-token bucket-region")),
    "CreateBucket": Route("PUT", BUCKET),
    "HeadBucket": Route("HEAD", BUCKET),
    "DeleteBucket": Route("DELETE", BUCKET),
    "GetBucketLocation": Route("GET", BUCKET, _set("location")),
    "ListObjects": Route("GET", BUCKET, takes=_set(f"{_LISTING} marker")),
    "ListObjectsV2": Route(
        "GET", BUCKET, _set("list-type"), _set(f"{_LISTING} continuation-token start-after fetch-owner")
    ),
    "ListObjectVersions": Route(
        "GET", BUCKET, _set("versions"), _set(f"{_LISTING} key-marker version-id-marker")
    ),
    "ListMultipartUploads": Route(
        "GET",
        BUCKET,
        _set("uploads"),
        _set("prefix delimiter max-uploads encoding-type key-marker upload-id-marker"),
    ),
    "DeleteObjects": Route("POST", BUCKET, _set("delete")),
    "PutObject": Route("PUT", OBJECT),
    "CopyObject": Route("PUT", OBJECT, copies=True),
    "GetObject": Route("GET", OBJECT, takes=_READING),
    "HeadObject": Route("HEAD", OBJECT, takes=_READING),
    "DeleteObject": Route("DELETE", OBJECT, takes=_set("versionId")),
    "CreateMultipartUpload": Route("POST", OBJECT, _set("uploads")),
    "UploadPart": Route("PUT", OBJECT, _set("uploadId partNumber")),
    "UploadPartCopy": Route("PUT", OBJECT, _set("uploadId partNumber"), copies=True),
    "ListParts": Route("GET", OBJECT, _set("uploadId"), _set("max-parts part-number-marker")),
    "CompleteMultipartUpload": Route("POST", OBJECT, _set("uploadId")),
    "AbortMultipartUpload": Route("DELETE", OBJECT, _set("uploadId")),
}

_NO_LOCK: Final = Unset("InvalidRequest", "Bucket is missing Object Lock Configuration", 400)
_PRIVATE: Final = Unset(document="AccessControlPolicy")

UNSET: Final[Mapping[tuple[str, str], tuple[str, Unset]]] = {
    (BUCKET, "policy"): (
        "GetBucketPolicy",
        Unset("NoSuchBucketPolicy", "The bucket policy does not exist"),
    ),
    (BUCKET, "policyStatus"): (
        "GetBucketPolicyStatus",
        Unset("NoSuchBucketPolicy", "The bucket policy does not exist"),
    ),
    (BUCKET, "tagging"): ("GetBucketTagging", Unset("NoSuchTagSet", "The TagSet does not exist")),
    (BUCKET, "cors"): (
        "GetBucketCors",
        Unset("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
    ),
    (BUCKET, "website"): (
        "GetBucketWebsite",
        Unset("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"),
    ),
    (BUCKET, "lifecycle"): (
        "GetBucketLifecycleConfiguration",
        Unset("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    ),
    (BUCKET, "replication"): (
        "GetBucketReplication",
        Unset("ReplicationConfigurationNotFoundError", "The replication configuration was not found"),
    ),
    (BUCKET, "encryption"): (
        "GetBucketEncryption",
        Unset(
            "ServerSideEncryptionConfigurationNotFoundError",
            "The server side encryption configuration was not found",
        ),
    ),
    (BUCKET, "object-lock"): (
        "GetObjectLockConfiguration",
        Unset("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist"),
    ),
    (BUCKET, "publicAccessBlock"): (
        "GetPublicAccessBlock",
        Unset("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found"),
    ),
    (BUCKET, "ownershipControls"): (
        "GetBucketOwnershipControls",
        Unset("OwnershipControlsNotFoundError", "The bucket ownership controls were not found"),
    ),
    (BUCKET, "acl"): ("GetBucketAcl", _PRIVATE),
    (BUCKET, "versioning"): ("GetBucketVersioning", Unset(document="VersioningConfiguration")),
    (BUCKET, "accelerate"): ("GetBucketAccelerateConfiguration", Unset(document="AccelerateConfiguration")),
    (BUCKET, "logging"): ("GetBucketLogging", Unset(document="BucketLoggingStatus")),
    (BUCKET, "notification"): (
        "GetBucketNotificationConfiguration",
        Unset(document="NotificationConfiguration"),
    ),
    (BUCKET, "requestPayment"): (
        "GetBucketRequestPayment",
        Unset(document="RequestPaymentConfiguration", pairs=(("Payer", "BucketOwner"),)),
    ),
    (OBJECT, "acl"): ("GetObjectAcl", _PRIVATE),
    (OBJECT, "tagging"): ("GetObjectTagging", Unset(document="Tagging", pairs=(("TagSet", ()),))),
    (OBJECT, "retention"): ("GetObjectRetention", _NO_LOCK),
    (OBJECT, "legal-hold"): ("GetObjectLegalHold", _NO_LOCK),
}
"""Reads of what cannot be made here, answered as S3 answers where it never was: Terraform and SDKs go on."""

_NOT_SIGNIFICANT: Final = ("x-amz-", "x-id")
_BESIDE_UNSET: Final = _set("versionId")


def name_of(request: S3Request) -> str:
    """The served operation, or the read of an unset configuration, that a request is. Raises AwsError."""
    level = level_of(request)
    keys = frozenset(key for key in request.query if not key.lower().startswith(_NOT_SIGNIFICANT))
    name = _served(request, level, keys) or _unset(request.method, level, keys)
    if name is None:
        raise not_implemented(_refusal(request.method, level, sorted(keys)))
    meant = request.query.get("x-id", name)
    if meant != name:
        raise not_implemented(f"{meant[:80]} is not implemented here.")
    return name


def level_of(request: S3Request) -> str:
    """What a request's path names: the site, a bucket or an object."""
    if not request.bucket:
        return SITE
    return OBJECT if request.key else BUCKET


def unset(name: str) -> Unset | None:
    """What the read of an unset configuration is answered; None for an operation that is served."""
    return next((answer for operation, answer in UNSET.values() if operation == name), None)


def _served(request: S3Request, level: str, keys: frozenset[str]) -> str | None:
    copies = "x-amz-copy-source" in request.headers and request.method == "PUT" and level == OBJECT
    for name, route in SERVED.items():
        if (route.method, route.level, route.copies) == (
            request.method,
            level,
            copies,
        ) and route.names <= keys <= route.names | route.takes:
            return name
    return None


def _unset(method: str, level: str, keys: frozenset[str]) -> str | None:
    for (at, key), (name, _) in UNSET.items():
        if method == "GET" and at == level and key in keys and keys <= _BESIDE_UNSET | {key}:
            return name
    return None


def _refusal(method: str, level: str, keys: Sequence[str]) -> str:
    if not keys:
        return f"A header you provided implies functionality that is not implemented: {method} on a {level}."
    named = ", ".join(f"`{key[:80]}`" for key in keys[:8])
    return f"{method} on a {level} with {named} in its query is not implemented here."


def check_headers(request: S3Request) -> None:
    """Raises AwsError for a header that asks for what is not kept here, rather than pass it over."""
    for name, value in request.headers.items():
        taken = _TAKEN_VALUES.get(name)
        if name.startswith(_REFUSED_HEADERS) if taken is None else value not in taken:
            raise not_implemented(f"{name}: {value[:80]} is not implemented here.")


_TAKEN_VALUES: Final[Mapping[str, frozenset[str]]] = {
    "x-amz-acl": _set("private bucket-owner-full-control bucket-owner-read"),
    "x-amz-storage-class": _set("STANDARD"),
    "x-amz-server-side-encryption": _set("AES256"),
    "x-amz-tagging-directive": _set("COPY"),
    "x-amz-bucket-object-lock-enabled": _set("false False"),
    "x-amz-object-ownership": _set("BucketOwnerEnforced"),
}
_REFUSED_HEADERS: Final = (
    "x-amz-grant-",
    "x-amz-tagging",
    "x-amz-object-lock-",
    "x-amz-website-redirect-location",
    "x-amz-server-side-encryption-",
    "x-amz-copy-source-server-side-encryption-",
    "x-amz-write-offset-bytes",
)


def bad_argument(name: str, value: str) -> AwsError:
    """An argument that the operation cannot mean."""
    return AwsError("InvalidArgument", f"Invalid argument: {name} cannot be `{value[:80]}`.")
