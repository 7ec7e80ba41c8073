"""Puts, copies and deletes objects for those who call for S3."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Final

from aiohttp import web

from nearstream.deploy.objectstore.files import Draft
from nearstream.deploy.objectstore.records import Condition, Facts
from nearstream.deploy.objectstore.store import ObjectStore, Opened
from nearstream.frontdoor.objects import facts
from nearstream.frontdoor.objects.answers import empty, patiently, sent, xml
from nearstream.frontdoor.objects.bodies import Signed, check_space, document, receive
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.s3 import conditions, request
from nearstream.wire.aws.s3.checksums import FULL_OBJECT, PREFIX, Hash, maker, text
from nearstream.wire.aws.s3.conditions import Span
from nearstream.wire.aws.s3.operations import bad_argument
from nearstream.wire.aws.s3.xml import Pairs, parse

MOST_KEYS: Final = 1000
_COPIED_BYTES: Final = 1024 * 1024


async def put_object(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    wanted, payload = signed.request, signed.payload()
    kept, condition = facts.headers(wanted.headers), facts.condition(wanted.headers)
    await store.run(store.bucket, wanted.bucket)
    check_space(store, payload.length)
    draft = await store.run(store.files.draft)
    try:
        received = await receive(store, signed, payload, draft.write)
        made = Facts(kept, received.checksums)
        target = (wanted.bucket, wanted.key)
        row = await store.run(store.put, target, draft, etag=received.md5, facts=made, condition=condition)
    finally:
        store.later(draft.discard)
    checks = {PREFIX + name: value for name, value in received.checksums.items()}
    if checks:
        checks["x-amz-checksum-type"] = FULL_OBJECT
    return sent(signed, empty(200, {"etag": f'"{row.etag}"', **checks}))


async def copy_object(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    wanted = signed.request
    source = request.copy_source(wanted)
    replaces = _replaces(signed)
    if source == (wanted.bucket, wanted.key) and not replaces:
        raise AwsError(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing"
            " the object's metadata, storage class, website redirect location or encryption attributes.",
        )
    kept, condition = facts.headers(wanted.headers), facts.condition(wanted.headers)
    algorithm = wanted.headers.get("x-amz-checksum-algorithm", "").lower()
    checks = {algorithm: maker(algorithm)()} if algorithm else {}
    await store.run(store.bucket, wanted.bucket)
    opened = await open_source(store, signed, source)
    try:
        check_space(store, opened.row.size)
    except AwsError:
        os.close(opened.descriptor)
        raise

    async def work() -> tuple[str, Pairs]:
        draft = await store.run(store.files.draft)
        try:
            span = Span(0, opened.row.size)
            etag = await copied(store, opened.descriptor, span, draft, tuple(checks.values()))
            made = Facts(
                kept if replaces else opened.row.facts.headers,
                {name: text(each) for name, each in checks.items()} or opened.row.facts.checksums,
                FULL_OBJECT if checks else opened.row.facts.checksum_type,
            )
            target = (wanted.bucket, wanted.key)
            row = await store.run(store.put, target, draft, etag=etag, facts=made, condition=condition)
        finally:
            store.later(draft.discard)
        return "CopyObjectResult", [
            ("ETag", f'"{row.etag}"'),
            ("LastModified", conditions.iso_date(row.modified_s)),
            *((f"Checksum{name.upper()}", value) for name, value in made.checksums.items()),
        ]

    try:
        return await patiently(signed, work())
    finally:
        os.close(opened.descriptor)


async def delete_object(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    wanted = signed.request
    request.check_version(wanted.query.get("versionId"))
    given = wanted.headers.get("if-match")
    condition = None if given is None else Condition(etag=given.strip('"'))
    await store.run(store.remove, wanted.bucket, [wanted.key], condition)
    return sent(signed, empty(204))


async def delete_objects(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    root = parse(await document(store, signed), "Delete")
    quiet = root.value("Quiet") == "true"
    named = [(each.value("Key") or "", each.value("VersionId")) for each in root.all("Object")]
    if not 0 < len(named) <= MOST_KEYS or any(not key for key, _ in named):
        raise AwsError("MalformedXML", f"Between 1 and {MOST_KEYS} objects must be named, each by its Key.")
    keys = [key for key, version in named if version in (None, "", "null")]
    await store.run(store.remove, signed.request.bucket, keys)
    deleted: Pairs = [("Deleted", [("Key", key)]) for key in keys if not quiet]
    missed: Pairs = [
        ("Error", [("Key", key), ("VersionId", version or ""), ("Code", "NoSuchVersion"),
                   ("Message", "The specified version does not exist.")])
        for key, version in named if version not in (None, "", "null")
    ]  # fmt: skip
    return sent(signed, xml("DeleteResult", [*deleted, *missed]))


async def open_source(store: ObjectStore, signed: Signed, source: tuple[str, str]) -> Opened:
    """The object that a copy is made of. Raises AwsError."""
    expected = signed.request.headers.get("x-amz-source-expected-bucket-owner", signed.principal.account)
    if expected != signed.principal.account:
        raise AwsError("AccessDenied", "Access Denied: the source bucket has another owner.", 403)
    opened = await store.run(store.open, *source)
    try:
        conditions.check_copy(signed.request.headers, opened.row.etag, opened.row.modified_s)
    except AwsError:
        os.close(opened.descriptor)
        raise
    return opened


async def copied(
    store: ObjectStore, descriptor: int, span: Span, draft: Draft, checks: tuple[Hash, ...] = ()
) -> str:
    """Copy bytes of an open object into a draft; their MD5 in hex. Raises OSError."""
    digest = hashlib.md5(usedforsecurity=False)
    take = _copier(draft, (digest, *checks))
    at, end = span.start, span.start + span.count
    while at < end:
        count = await store.run(take, os.dup(descriptor), min(_COPIED_BYTES, end - at), at)
        at += count
    return digest.hexdigest()


def _copier(draft: Draft, hashes: tuple[Hash, ...]) -> Callable[[int, int, int], int]:
    def take(descriptor: int, count: int, at: int) -> int:
        try:
            data = os.pread(descriptor, count, at)
        finally:
            os.close(descriptor)
        if not data:
            raise OSError("the object's file became shorter while it was copied")
        for each in hashes:
            each.update(data)
        draft.write(data)
        return len(data)

    return take


def _replaces(signed: Signed) -> bool:
    directive = signed.request.headers.get("x-amz-metadata-directive", "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise bad_argument("x-amz-metadata-directive", directive)
    return directive == "REPLACE"
