"""Gives objects to those who call for S3, whole or in part."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from nearstream.deploy.objectstore.records import Row
from nearstream.deploy.objectstore.store import ObjectStore
from nearstream.frontdoor.objects.answers import closing, empty, sent, write
from nearstream.frontdoor.objects.bodies import Signed
from nearstream.wire.aws.s3 import conditions, request
from nearstream.wire.aws.s3.checksums import PREFIX
from nearstream.wire.aws.s3.conditions import Span

SLICE_BYTES: Final = 1024 * 1024
_DEFAULT_TYPE: Final = "binary/octet-stream"
_OVERRIDE: Final = "response-"


async def get_object(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    """GetObject and HeadObject."""
    wanted = signed.request
    request.check_version(wanted.query.get("versionId"))
    opened = await store.run(store.open, wanted.bucket, wanted.key)
    try:
        row = opened.row
        if not conditions.check(wanted.headers, row.etag, row.modified_s):
            return sent(signed, empty(304, _head(row)))
        span = _span(signed, row)
        made = closing(signed.web, web.StreamResponse(status=206 if span else 200))
        made.headers.update(CIMultiDict(_headers(signed, row, span)))
        chosen = span or Span(0, row.size)
        made.content_length = chosen.count
        await made.prepare(signed.web)
        if wanted.method == "GET":
            await _send(store, made, opened.descriptor, chosen)
        await made.write_eof()
    finally:
        os.close(opened.descriptor)
    return made


async def _send(store: ObjectStore, made: web.StreamResponse, descriptor: int, span: Span) -> None:
    at, end = span.start, span.start + span.count
    # A copy of the descriptor: a read that outlives this call must not meet another file under its number.
    while at < end:
        try:
            data = await store.run(_read, os.dup(descriptor), min(SLICE_BYTES, end - at), at)
        except OSError as error:  # the answer has begun: closing the connection reports it
            raise ConnectionResetError(str(error)) from error
        if not data:
            raise ConnectionResetError("the object's file became shorter while it was read")
        at += len(data)
        await write(made, data)


def _read(descriptor: int, count: int, at: int) -> bytes:
    try:
        return os.pread(descriptor, count, at)
    finally:
        os.close(descriptor)


def _span(signed: Signed, row: Row) -> Span | None:
    headers = signed.request.headers
    if headers.get("if-range", f'"{row.etag}"') != f'"{row.etag}"':
        return None
    return conditions.span(headers.get("range"), row.size)


def _head(row: Row) -> dict[str, str]:
    return {"etag": f'"{row.etag}"', "last-modified": conditions.http_date(row.modified_s)}


def _headers(signed: Signed, row: Row, span: Span | None) -> Mapping[str, str]:
    headers = {"content-type": _DEFAULT_TYPE, **row.facts.headers, **_head(row), "accept-ranges": "bytes"}
    for name, value in signed.request.query.items():
        if name.startswith(_OVERRIDE):
            headers[name.removeprefix(_OVERRIDE)] = value
    if span is not None:
        headers["content-range"] = span.content_range(row.size)
    elif signed.request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and row.facts.checksums:
        headers.update({PREFIX + name: value for name, value in row.facts.checksums.items()})
        headers["x-amz-checksum-type"] = row.facts.checksum_type
    return {**headers, "x-amz-request-id": signed.id}
