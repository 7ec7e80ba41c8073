"""Makes, finds and removes buckets for those who call for S3; no bucket has any configuration."""

from __future__ import annotations

from aiohttp import web

from nearstream.core.errors import ServiceError
from nearstream.deploy.objectstore.store import ObjectStore
from nearstream.frontdoor.objects.answers import empty, sent, xml
from nearstream.frontdoor.objects.bodies import Signed, document
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.s3 import conditions, operations, request
from nearstream.wire.aws.s3.errors import not_implemented
from nearstream.wire.aws.s3.xml import Pairs, parse

OLDEST_REGION = "us-east-1"
_MOST_BUCKETS = 10_000


async def list_buckets(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    query = signed.request.query
    most = request.number(query.get("max-buckets"), least=1, most=_MOST_BUCKETS, name="max-buckets")
    prefix, after, region = (
        query.get("prefix", ""),
        query.get("continuation-token", ""),
        query.get("bucket-region"),
    )
    found = [
        bucket
        for bucket in await store.run(store.buckets)
        if bucket.name.startswith(prefix) and bucket.name > after and region in (None, bucket.region)
    ]
    shown = found[: most or _MOST_BUCKETS]
    listed: Pairs = [
        ("Bucket", [("Name", bucket.name), ("CreationDate", conditions.iso_date(bucket.created_s)),
                    ("BucketRegion", bucket.region)])
        for bucket in shown
    ]  # fmt: skip
    pairs: Pairs = [("Owner", owner(signed)), ("Buckets", listed), ("Prefix", prefix)]
    if len(found) > len(shown):
        pairs = [*pairs, ("ContinuationToken", shown[-1].name)]
    return sent(signed, xml("ListAllMyBucketsResult", pairs))


async def create_bucket(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    wanted = signed.request
    request.check_bucket_name(wanted.bucket)
    body = await document(store, signed)
    region = signed.principal.region
    if body.strip():
        root = parse(body, "CreateBucketConfiguration")
        unknown = [child.name for child in root.children if child.name != "LocationConstraint"]
        if unknown:
            raise not_implemented(f"{unknown[0]} of a CreateBucketConfiguration is not implemented here.")
        region = root.value("LocationConstraint") or region
    try:
        await store.run(store.make_bucket, wanted.bucket, region)
    except ServiceError as error:
        if error.code != "BucketAlreadyOwnedByYou" or signed.principal.region != OLDEST_REGION:
            raise
    return sent(signed, empty(200, {"Location": f"/{wanted.bucket}"}))


async def head_bucket(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    bucket = await store.run(store.bucket, signed.request.bucket)
    return sent(signed, empty(200, {"x-amz-bucket-region": bucket.region}))


async def delete_bucket(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    await store.run(store.remove_bucket, signed.request.bucket)
    return sent(signed, empty(204))


async def location(store: ObjectStore, signed: Signed) -> web.StreamResponse:
    bucket = await store.run(store.bucket, signed.request.bucket)
    region = "" if bucket.region == OLDEST_REGION else bucket.region
    return sent(signed, xml("LocationConstraint", region))


async def unset(store: ObjectStore, signed: Signed, name: str) -> web.StreamResponse:
    """The answer to a read of a configuration that no bucket and no object has here."""
    wanted = signed.request
    if wanted.key:
        request.check_version(wanted.query.get("versionId"))
        await store.run(store.find, wanted.bucket, wanted.key)
    else:
        await store.run(store.bucket, wanted.bucket)
    answer = operations.unset(name)
    if answer is None or answer.code:
        code, message, status = (
            ("", "", 500) if answer is None else (answer.code, answer.message, answer.status)
        )
        raise AwsError(code, message, status)
    pairs = _private(signed) if answer.document == "AccessControlPolicy" else answer.pairs
    return sent(signed, xml(answer.document, pairs))


def owner(signed: Signed) -> Pairs:
    """Who owns all buckets and objects: the account."""
    return [("ID", signed.principal.account), ("DisplayName", signed.principal.account)]


def _private(signed: Signed) -> Pairs:
    kind = 'Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"'
    grant: Pairs = [(kind, owner(signed)), ("Permission", "FULL_CONTROL")]
    return [("Owner", owner(signed)), ("AccessControlList", [("Grant", grant)])]
