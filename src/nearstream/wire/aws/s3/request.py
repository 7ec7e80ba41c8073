"""A request to Amazon S3, read as far as its head goes: whose it is, which bucket and key, which parameters.

Follows the Amazon S3 API Reference: "Authenticating Requests", "Virtual hosting", "Common Request Headers".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.signed_request import RawRequest

SERVICE: Final = "s3"
LONGEST_KEY_BYTES: Final = 1024

_SCOPE: Final = re.compile(r"(?:/|%2F)s3(?:/|%2F)aws4_request", re.IGNORECASE)
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS: Final = re.compile(r"\d+\.\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class S3Request:
    """A request's head. `bucket` and `key` may be empty; header names are lower-case."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


def is_signed_for(request: RawRequest) -> bool:
    """Whether a call says that it is signed for S3, in a header or presigned, by a version new or old."""
    authorization = _header(request, "authorization")
    if authorization:
        return authorization.startswith("AWS ") or bool(_SCOPE.search(authorization.partition(",")[0]))
    if "X-Amz-Credential=" in request.query:
        return bool(_SCOPE.search(request.query))
    return "AWSAccessKeyId=" in request.query


def is_unsigned(request: RawRequest) -> bool:
    """Whether a call carries no signature and has no other service's form."""
    signed = _header(request, "authorization") or "X-Amz-Credential=" in request.query
    return not signed and request.method != "POST"


def check_signature_version(request: RawRequest) -> None:
    """Raises AwsError for a signature of version 2."""
    if _header(request, "authorization").startswith("AWS ") or "AWSAccessKeyId=" in request.query:
        raise AwsError(
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256"
            " (boto3: Config(signature_version='s3v4')).",
        )


def read(request: RawRequest, hosts: Collection[str]) -> S3Request:
    """Raises AwsError for a path, a query or a key that S3 does not take."""
    headers = {name.lower(): value.strip() for name, value in request.headers}
    bucket = _bucket_in_host(headers.get("host", ""), hosts)
    path = request.path.removeprefix("/")
    if bucket is None:
        bucket, _, path = path.partition("/")
    key = _decoded(path, "the key")
    if len(key.encode()) > LONGEST_KEY_BYTES:
        raise AwsError("KeyTooLongError", f"Your key is too long: {len(key.encode())} bytes, 1024 at most.")
    return S3Request(request.method, _decoded(bucket, "the bucket"), key, _query(request.query), headers)


def copy_source(request: S3Request) -> tuple[str, str]:
    """The bucket and the key that `x-amz-copy-source` names. Raises AwsError."""
    source, _, version = request.headers["x-amz-copy-source"].partition("?versionId=")
    bucket, _, key = _decoded(source, "x-amz-copy-source").removeprefix("/").partition("/")
    if not bucket or not key:
        message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey."
        raise AwsError("InvalidArgument", message)
    check_version(version or None)
    return bucket, key


def check_version(version: str | None) -> None:
    """Objects have one version, which is called `null`. Raises AwsError for another."""
    if version not in (None, "null"):
        raise AwsError("NoSuchVersion", "The specified version does not exist: objects have none here.", 404)


def check_bucket_name(name: str) -> None:
    """Raises AwsError for a name that S3 gives no bucket."""
    if not _BUCKET.fullmatch(name) or ".." in name or _ADDRESS.fullmatch(name):
        message = f"The specified bucket is not valid: `{name[:80]}`; 3 to 63 of a-z, 0-9, '.' and '-'."
        raise AwsError("InvalidBucketName", message)


def number(text: str | None, *, least: int, most: int, name: str) -> int | None:
    """A parameter that is a whole number. Raises AwsError."""
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,17}", text) or not least <= int(text) <= most:
        raise AwsError(
            "InvalidArgument", f"{name} must be an integer between {least} and {most}, and is `{text[:40]}`."
        )
    return int(text)


def _query(raw: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in raw.split("&") if raw else ():
        name, _, value = pair.replace("+", " ").partition("=")
        name = _decoded(name, "the query")
        if not name:
            continue
        if name in found:
            raise AwsError("InvalidArgument", f"The query parameter `{name[:80]}` was given more than once.")
        found[name] = _decoded(value, "the query")
    return found


def _decoded(quoted: str, what: str) -> str:
    try:
        return unquote_to_bytes(quoted.encode(errors="surrogateescape")).decode()
    except UnicodeDecodeError:
        raise AwsError("InvalidURI", f"Couldn't parse the specified URI: {what} is not UTF-8.") from None


def _bucket_in_host(host: str, bases: Collection[str]) -> str | None:
    """The bucket that the Host header names, `bucket.base:port`, or None."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if _is_address(name):
        return None
    for base in bases:
        bucket = name.removesuffix(f".{base}")
        if bucket != name and _BUCKET.fullmatch(bucket):
            return bucket
    return None


def _header(request: RawRequest, wanted: str) -> str:
    return next((value for name, value in request.headers if name.lower() == wanted), "")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
