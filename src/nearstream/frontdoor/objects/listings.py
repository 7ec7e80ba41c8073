"""Lists objects and unfinished uploads for those who call for S3, in each of its forms."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from aiohttp import web

from nearstream.deploy.objectstore.listing import common_prefix
from nearstream.deploy.objectstore.records import Listing, Page, Row, Upload
from nearstream.deploy.objectstore.store import ObjectStore
from nearstream.deploy.objectstore.uploads import Uploads
from nearstream.frontdoor.objects.answers import sent, xml
from nearstream.frontdoor.objects.bodies import Signed
from nearstream.frontdoor.objects.buckets import owner
from nearstream.wire.aws.s3 import conditions, request
from nearstream.wire.aws.s3.operations import bad_argument
from nearstream.wire.aws.s3.xml import Pairs

MOST: Final = 1000
Encode = Callable[[str], str]


async def list_objects(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    query, encode = signed.request.query, _encoding(signed.request.query)
    wanted = _listing(query, query.get("marker") or None)
    page = await store.run(store.list, signed.request.bucket, wanted)
    last = [("NextMarker", encode(page.last))] if page.is_truncated and wanted.delimiter else []
    pairs: Pairs = [("Marker", encode(query.get("marker", ""))), *last]
    return _answered(signed, page, "ListBucketResult", pairs, shows_owner=True)


async def list_objects_v2(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    query, encode = signed.request.query, _encoding(signed.request.query)
    if query["list-type"] != "2":
        raise bad_argument("list-type", query["list-type"])
    token, start = query.get("continuation-token"), query.get("start-after", "")
    after = start or None if token is None else _key_of(token)
    page = await store.run(store.list, signed.request.bucket, _listing(query, after))
    pairs: Pairs = [("KeyCount", len(page.rows) + len(page.prefixes)), ("StartAfter", encode(start))]
    if token is not None:
        pairs = [*pairs, ("ContinuationToken", token)]
    if page.is_truncated:
        pairs = [*pairs, ("NextContinuationToken", urlsafe_b64encode(page.last.encode()).decode())]
    return _answered(
        signed, page, "ListBucketResult", pairs, shows_owner=query.get("fetch-owner", "") == "true"
    )


async def list_versions(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    """Each object is its only version, which is called `null`."""
    query, encode = signed.request.query, _encoding(signed.request.query)
    marker = query.get("key-marker", "")
    page = await store.run(store.list, signed.request.bucket, _listing(query, marker or None))
    pairs: Pairs = [("KeyMarker", encode(marker)), ("VersionIdMarker", query.get("version-id-marker", ""))]
    if page.is_truncated:
        pairs = [*pairs, ("NextKeyMarker", encode(page.last)), ("NextVersionIdMarker", "null")]
    return _answered(signed, page, "ListVersionsResult", pairs, shows_owner=True)


async def list_uploads(store: ObjectStore, uploads: Uploads, signed: Signed) -> web.StreamResponse:
    query, encode = signed.request.query, _encoding(signed.request.query)
    most = request.number(query.get("max-uploads"), least=0, most=2**31 - 1, name="max-uploads")
    most = min(MOST, MOST if most is None else most)
    marker, id_marker, wanted = (
        query.get("key-marker", ""),
        query.get("upload-id-marker", ""),
        _listing(query, None),
    )
    entries = _upload_entries(await store.run(uploads.list, signed.request.bucket), wanted)
    rest = [entry for entry in entries if _follows(entry, marker, id_marker)]
    shown = rest[:most]
    pairs: list[tuple[str, str | int | Pairs]] = [
        ("Bucket", signed.request.bucket),
        ("KeyMarker", encode(marker)),
        ("UploadIdMarker", id_marker),
    ]
    if shown and len(rest) > len(shown):
        key, upload = shown[-1]
        pairs += [("NextKeyMarker", encode(key)), ("NextUploadIdMarker", upload.id if upload else "")]
    pairs += [("Prefix", encode(wanted.prefix)), ("MaxUploads", most), *_encoding_pairs(query)]
    pairs += [("IsTruncated", _bool(len(rest) > len(shown)))]
    whose: Pairs = [("Initiator", owner(signed)), ("Owner", owner(signed)), ("StorageClass", "STANDARD")]
    for key, upload in shown:
        if upload is None:
            pairs += [("CommonPrefixes", [("Prefix", encode(key))])]
        else:
            begun = ("Initiated", conditions.iso_date(upload.created_s))
            pairs += [("Upload", [("Key", encode(key)), ("UploadId", upload.id), *whose, begun])]
    return sent(signed, xml("ListMultipartUploadsResult", pairs))


def _upload_entries(uploads: Sequence[Upload], wanted: Listing) -> list[tuple[str, Upload | None]]:
    """Uploads by key, and in place of several the prefix that they share."""
    entries: list[tuple[str, Upload | None]] = []
    for upload in uploads:
        if not upload.key.startswith(wanted.prefix):
            continue
        group = common_prefix(upload.key, wanted)
        entry = (upload.key, upload) if group is None else (group, None)
        if not entries or entries[-1] != entry:
            entries.append(entry)
    return entries


def _follows(entry: tuple[str, Upload | None], marker: str, id_marker: str) -> bool:
    key, upload = entry
    if key == marker and upload is not None and id_marker:
        return upload.id > id_marker
    return not marker or key.encode() > marker.encode()


def _answered(
    signed: Signed, page: Page, name: str, pairs: Pairs, *, shows_owner: bool
) -> web.StreamResponse:
    query, encode = signed.request.query, _encoding(signed.request.query)
    wanted = _listing(query, None)
    delimiter: Pairs = [("Delimiter", encode(wanted.delimiter))] if wanted.delimiter else []
    whose: Pairs = [("Owner", owner(signed))] if shows_owner else []
    element = "Version" if name == "ListVersionsResult" else "Contents"
    document: list[tuple[str, str | int | Pairs]] = [
        ("Name", signed.request.bucket),
        ("Prefix", encode(wanted.prefix)),
        *pairs,
        ("MaxKeys", wanted.most),
        *delimiter,
        *_encoding_pairs(query),
        ("IsTruncated", _bool(page.is_truncated)),
    ]
    document += [(element, [*_row(row, encode, element), *whose]) for row in page.rows]
    document += [("CommonPrefixes", [("Prefix", encode(prefix))]) for prefix in page.prefixes]
    return sent(signed, xml(name, document))


def _row(row: Row, encode: Encode, element: str) -> Pairs:
    version: Pairs = [("VersionId", "null"), ("IsLatest", "true")] if element == "Version" else []
    kinds = list(row.facts.checksums)
    checks: Pairs = (
        [("ChecksumAlgorithm", kinds[0].upper()), ("ChecksumType", row.facts.checksum_type)] if kinds else []
    )
    return [
        ("Key", encode(row.key)), *version, ("LastModified", conditions.iso_date(row.modified_s)),
        ("ETag", f'"{row.etag}"'), *checks, ("Size", row.size), ("StorageClass", "STANDARD"),
    ]  # fmt: skip


def _listing(query: Mapping[str, str], after: str | None) -> Listing:
    """Raises AwsError."""
    most = request.number(query.get("max-keys"), least=0, most=2**31 - 1, name="max-keys")
    return Listing(
        query.get("prefix", ""),
        query.get("delimiter", ""),
        after,
        MOST if most is None else min(most, MOST),
    )


def _encoding(query: Mapping[str, str]) -> Encode:
    """How keys are written. Raises AwsError."""
    kind = query.get("encoding-type")
    if kind not in (None, "", "url"):
        raise bad_argument("encoding-type", kind)
    return quote if kind else str


def _encoding_pairs(query: Mapping[str, str]) -> Pairs:
    return [("EncodingType", "url")] if query.get("encoding-type") else []


def _key_of(token: str) -> str:
    """Raises AwsError for a token that was not given by a listing."""
    try:
        return urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        raise bad_argument("continuation-token", token) from None


def _bool(value: object) -> str:
    return "true" if value else "false"
