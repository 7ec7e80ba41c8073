"""The headers of a call that writes an object: those to keep, and its conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nearstream.deploy.objectstore.records import Condition
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.s3.errors import not_implemented
from nearstream.wire.aws.s3.operations import bad_argument

METADATA_BYTES: Final = 2048
_META: Final = "x-amz-meta-"
_KEPT: Final = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)


def headers(sent: Mapping[str, str]) -> dict[str, str]:
    """The headers to give back with an object. Raises AwsError."""
    kept = {name: sent[name] for name in _KEPT if sent.get(name)}
    coding = [each.strip() for each in kept.pop("content-encoding", "").split(",")]
    if left := [each for each in coding if each and each != "aws-chunked"]:
        kept["content-encoding"] = ",".join(left)
    meta = {name: value for name, value in sent.items() if name.startswith(_META)}
    if sum(len(name) - len(_META) + len(value) for name, value in meta.items()) > METADATA_BYTES:
        message = "Your metadata headers exceed the maximum allowed metadata size: 2048 bytes."
        raise AwsError("MetadataTooLarge", message)
    for name, value in (kept | meta).items():
        if not value.isprintable() or not (name + value).isascii():
            raise bad_argument(name, value.encode(errors="replace").decode())
    return kept | meta


def condition(sent: Mapping[str, str]) -> Condition:
    """What must hold of the object that is there. Raises AwsError for a form that S3 does not take."""
    absent, etag = sent.get("if-none-match"), sent.get("if-match")
    if absent not in (None, "*"):
        raise not_implemented("If-None-Match on a write takes `*` only.")
    return Condition(is_absent=absent is not None, etag=None if etag is None else etag.strip('"'))
