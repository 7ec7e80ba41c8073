"""Uploads in parts for those who call for S3."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from aiohttp import web

from nearstream.deploy.objectstore.records import Facts, Part, PartNamed, Upload
from nearstream.deploy.objectstore.store import ObjectStore
from nearstream.deploy.objectstore.uploads import Uploads
from nearstream.frontdoor.objects import facts
from nearstream.frontdoor.objects.answers import empty, patiently, sent, xml
from nearstream.frontdoor.objects.bodies import Signed, check_space, document, receive
from nearstream.frontdoor.objects.writing import copied, open_source
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.s3 import checksums, conditions, request
from nearstream.wire.aws.s3.checksums import COMPOSITE, FULL_OBJECT, PREFIX
from nearstream.wire.aws.s3.operations import bad_argument
from nearstream.wire.aws.s3.xml import Element, Pairs, parse

MOST_PARTS: Final = 10_000
_MOST_LISTED: Final = 1000
_LONGEST_NUMBER: Final = 5


def _find(uploads: Uploads, signed: Signed) -> Upload:
    return uploads.find((signed.request.bucket, signed.request.key), signed.request.query["uploadId"])


async def create(store: ObjectStore, uploads: Uploads, signed: Signed) -> web.StreamResponse:
    wanted = signed.request
    algorithm = wanted.headers.get("x-amz-checksum-algorithm", "").lower()
    if algorithm:
        checksums.maker(algorithm)
    kind = _kind(wanted.headers.get("x-amz-checksum-type"), algorithm)
    made = Facts(facts.headers(wanted.headers), checksum_type=kind)
    upload = await store.run(uploads.begin, wanted.bucket, wanted.key, made, algorithm)
    pairs = [("Bucket", wanted.bucket), ("Key", wanted.key), ("UploadId", upload.id)]
    answer = xml("InitiateMultipartUploadResult", pairs)
    described = (
        {"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": kind} if algorithm else {}
    )
    return sent(signed, replace(answer, headers={**answer.headers, **described}))


async def put_part(store: ObjectStore, uploads: Uploads, signed: Signed) -> web.StreamResponse:
    payload, number = signed.payload(), _number(signed)
    upload = await store.run(_find, uploads, signed)
    check_space(store, payload.length)
    draft = await store.run(store.files.draft)
    try:
        received = await receive(store, signed, payload, draft.write)
        part = Part(number, received.size, received.md5, 0, received.checksums)
        part = await store.run(uploads.put_part, upload, number, draft, part)
    finally:
        store.later(draft.discard)
    checks = {PREFIX + name: value for name, value in received.checksums.items()}
    return sent(signed, empty(200, {"etag": f'"{part.etag}"', **checks}))


async def copy_part(store: ObjectStore, uploads: Uploads, signed: Signed) -> web.StreamResponse:
    wanted, number = signed.request, _number(signed)
    source = request.copy_source(wanted)
    upload = await store.run(_find, uploads, signed)
    opened = await open_source(store, signed, source)
    try:
        span = conditions.copy_span(wanted.headers.get("x-amz-copy-source-range"), opened.row.size)
        check_space(store, span.count)
        checks = {upload.algorithm: checksums.maker(upload.algorithm)()} if upload.algorithm else {}

        async def work() -> tuple[str, Pairs]:
            draft = await store.run(store.files.draft)
            try:
                etag = await copied(store, opened.descriptor, span, draft, tuple(checks.values()))
                values = {name: checksums.text(each) for name, each in checks.items()}
                part = Part(number, span.count, etag, 0, values)
                part = await store.run(uploads.put_part, upload, number, draft, part)
            finally:
                store.later(draft.discard)
            return "CopyPartResult", [
                ("ETag", f'"{part.etag}"'),
                ("LastModified", conditions.iso_date(part.modified_s)),
                *_checksum_pairs(part.checksums),
            ]

        return await patiently(signed, work())
    finally:
        os.close(opened.descriptor)


async def complete(store: ObjectStore, uploads: Uploads, signed: Signed) -> web.StreamResponse:
    wanted = signed.request
    root = parse(await document(store, _without_checksums(signed)), "CompleteMultipartUpload")
    named = [_named(part) for part in root.all("Part")]
    target, id_ = (wanted.bucket, wanted.key), wanted.query["uploadId"]
    condition = facts.condition(wanted.headers)

    def work() -> tuple[str, Pairs]:
        etag, checks, kind = uploads.completed(target, id_), {}, FULL_OBJECT
        if etag is None:
            upload = uploads.find(target, id_)
            check_space(store, sum(part.size for part in uploads.parts(upload)))
            whole = partial(_whole, headers=wanted.headers)
            row = uploads.complete(upload, named, whole, condition)
            etag, checks, kind = row.etag, dict(row.facts.checksums), row.facts.checksum_type
        return "CompleteMultipartUploadResult", [
            ("Location", f"http://{wanted.headers.get('host', '')}/{wanted.bucket}/{wanted.key}"),
            ("Bucket", wanted.bucket),
            ("Key", wanted.key),
            ("ETag", f'"{etag}"'),
            *_checksum_pairs(checks),
            *([("ChecksumType", kind)] if checks else []),
        ]

    return await patiently(signed, store.run(work))


async def abort(store: ObjectStore, uploads: Uploads, signed: Signed) -> web.StreamResponse:
    upload = await store.run(_find, uploads, signed)
    await store.run(uploads.abort, upload)
    return sent(signed, empty(204))


async def list_parts(store: ObjectStore, uploads: Uploads, signed: Signed) -> web.StreamResponse:
    wanted = signed.request
    upload = await store.run(_find, uploads, signed)
    after = request.number(
        wanted.query.get("part-number-marker"), least=0, most=MOST_PARTS * 10, name="part-number-marker"
    )
    most = request.number(wanted.query.get("max-parts"), least=0, most=2**31 - 1, name="max-parts")
    most = min(_MOST_LISTED, _MOST_LISTED if most is None else most)
    parts = await store.run(uploads.parts, upload, after or 0)
    shown = parts[:most]
    pairs: list[tuple[str, str | int | Pairs]] = [
        ("Bucket", wanted.bucket),
        ("Key", wanted.key),
        ("UploadId", upload.id),
        ("PartNumberMarker", after or 0),
        ("NextPartNumberMarker", shown[-1].number if shown else 0),
        ("MaxParts", most),
        ("IsTruncated", "true" if len(parts) > len(shown) else "false"),
        ("StorageClass", "STANDARD"),
    ]
    if upload.algorithm:
        pairs += [("ChecksumAlgorithm", upload.algorithm.upper())]
    pairs += [("Part", _part(part)) for part in shown]
    return sent(signed, xml("ListPartsResult", pairs))


def _part(part: Part) -> Pairs:
    return [
        ("PartNumber", part.number),
        ("LastModified", conditions.iso_date(part.modified_s)),
        ("ETag", f'"{part.etag}"'),
        ("Size", part.size),
        *_checksum_pairs(part.checksums),
    ]


def _without_checksums(signed: Signed) -> Signed:
    """A completion's checksum is the object's, not that of the document that asks for it."""
    headers = {name: value for name, value in signed.request.headers.items() if not name.startswith(PREFIX)}
    return replace(signed, request=replace(signed.request, headers=headers))


def _whole(upload: Upload, parts: Sequence[Part], *, headers: Mapping[str, str]) -> Mapping[str, str]:
    """The whole object's checksum, which one sent with the completion must equal. Raises AwsError."""
    size = sum(part.size for part in parts)
    if headers.get("x-amz-mp-object-size", str(size)) != str(size):
        raise AwsError("InvalidRequest", f"x-amz-mp-object-size does not match: the parts have {size} bytes.")
    algorithm = upload.algorithm
    found: dict[str, str] = {}
    if algorithm and all(algorithm in part.checksums for part in parts):
        values = [(part.checksums[algorithm], part.size) for part in parts]
        if upload.facts.checksum_type == FULL_OBJECT:
            found[algorithm] = checksums.whole(algorithm, values)
        else:
            found[algorithm] = checksums.composite(algorithm, [value for value, _ in values])
    sent_checks = {
        name.removeprefix(PREFIX): value
        for name, value in headers.items()
        if name.startswith(PREFIX) and name not in ("x-amz-checksum-type", "x-amz-checksum-algorithm")
    }
    for name, value in sent_checks.items():
        if found.get(name, value).partition("-")[0] != value.partition("-")[0] or name not in found:
            message = f"The {name.upper()} you specified did not match the calculated checksum."
            raise AwsError("BadDigest", message)
    return found


def _kind(given: str | None, algorithm: str) -> str:
    """Whether an upload's checksum will be that of the whole, or of its parts' checksums. Raises AwsError."""
    default = FULL_OBJECT if algorithm in ("", "crc64nvme") else COMPOSITE
    kind = default if given is None else given
    if kind not in (COMPOSITE, FULL_OBJECT):
        raise bad_argument("x-amz-checksum-type", kind)
    if kind == FULL_OBJECT and algorithm and algorithm not in checksums.POLYNOMIALS:
        message = f"The FULL_OBJECT checksum type cannot be used with the {algorithm} checksum algorithm."
        raise AwsError("InvalidRequest", message)
    return kind


def _number(signed: Signed) -> int:
    number = request.number(signed.request.query["partNumber"], least=1, most=MOST_PARTS, name="Part number")
    return number or 0


def _named(part: Element) -> PartNamed:
    number = part.value("PartNumber") or ""
    if (
        not (number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER)
        or part.value("ETag") is None
    ):
        raise AwsError("MalformedXML", "Each part must have a PartNumber and an ETag.")
    checks = {
        child.name.removeprefix("Checksum").lower(): child.text.strip()
        for child in part.children
        if child.name.startswith("Checksum")
    }
    return PartNamed(int(number), (part.value("ETag") or "").strip('"'), checks)


def _checksum_pairs(values: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(f"Checksum{name.upper()}", value) for name, value in values.items()]
