"""Every operation of Amazon S3 that botocore knows, sent for real: served, or refused without harm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from tests.support.objects import Place, object_site

from nearstream.wire.aws.s3.operations import SERVED, UNSET

BUCKET, EMPTY, KEY = "a-bucket", "an-empty-bucket", "models/m.bin"
BODY = b"what must not be lost"
MIB = 1024 * 1024
ROOT = Path(__file__).parents[3]
MODEL = botocore.session.get_session().get_service_model("s3")
OPERATIONS = sorted(MODEL.operation_names)
READS = dict(UNSET.values())
# Old names of operations that are served or refused under their new ones.
ALIASES = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with object_site(tmp_path) as running:
        client = running.client()
        for bucket in (BUCKET, EMPTY):
            client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=BUCKET, Key=KEY, Body=BODY, ContentType="text/x", Metadata={"a": "b"})
        yield running


def least(shape: Any, name: str = "") -> Any:
    """The least that botocore takes for a shape."""
    given = {"Bucket": EMPTY if name.startswith("DeleteBucket") else BUCKET, "Key": KEY, "UploadId": "none"}
    if shape.type_name == "structure":
        members = {
            member: given[member] if member in given and name else least(shape.members[member])
            for member in shape.required_members
        }
        if not members and shape.members and (not name or shape.is_tagged_union):
            member, inner = next(iter(shape.members.items()))
            members = {member: least(inner)} if inner.type_name == "string" or shape.is_tagged_union else {}
        return members
    if shape.type_name == "list":
        return [least(shape.member)]
    simple: dict[str, Any] = {
        "map": dict, "boolean": lambda: False, "integer": lambda: 1, "long": lambda: 1,
        "float": lambda: 1.0, "blob": lambda: b"x", "timestamp": lambda: 0,
        "string": lambda: shape.enum[0] if shape.enum else "x" * shape.metadata.get("min", 1),
    }  # fmt: skip
    return simple[shape.type_name]()


def unharmed(client: Any) -> bool:
    found = client.get_object(Bucket=BUCKET, Key=KEY)
    client.head_bucket(Bucket=EMPTY)
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
    kept = (
        found["Body"].read() == BODY and found["Metadata"] == {"a": "b"} and found["ContentType"] == "text/x"
    )
    return kept and keys == [KEY]


def send(client: Any, name: str) -> tuple[int, str]:
    """The status and the code that an operation is answered."""
    wanted = MODEL.operation_model(name)
    parameters = least(wanted.input_shape, name) if wanted.input_shape else {}
    method = next(python for python, each in client.meta.method_to_api_mapping.items() if each == name)
    try:
        answer = getattr(client, method)(**parameters)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], ""


# Signed for other services, s3-object-lambda and s3express, which the front door does not take for S3.
ELSEWHERE = {"WriteGetObjectResponse", "ListDirectoryBuckets"}


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in {*SERVED, *ELSEWHERE}])
def test_what_is_not_served_is_said_to_be_and_harms_nothing(place: Place, name: str) -> None:
    client = place.client(inject_host_prefix=False)
    status, code = send(client, name)
    answer = READS.get(ALIASES.get(name, name))
    if answer is None:
        assert (status, code) == (501, "NotImplemented")
    elif answer.code:
        assert (status, code) == (answer.status, answer.code)
    else:
        assert (status, code) == (200, "")
    assert unharmed(client)


def test_every_operation_that_is_served_is_one_of_s3(place: Place) -> None:
    assert set(SERVED) | set(READS) <= set(OPERATIONS)
    client = place.client()
    for name in set(SERVED) - {"DeleteObject", "DeleteObjects", "PutObject", "CopyObject", "DeleteBucket",
                                "UploadPartCopy"}:  # fmt: skip
        status, code = send(client, name)
        assert status < 500 and code in ("", "NoSuchUpload", "BucketAlreadyOwnedByYou", "MalformedXML"), name
    for upload in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    assert unharmed(client)


def test_what_has_no_configuration_answers_reads_only_where_there_is_a_bucket(place: Place) -> None:
    client = place.client()
    for read in (client.get_bucket_policy, client.get_bucket_tagging, client.get_bucket_versioning):
        with pytest.raises(client.exceptions.NoSuchBucket):
            read(Bucket="no-such-bucket")
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object_tagging(Bucket=BUCKET, Key="no-such-key")
    assert client.get_object_tagging(Bucket=BUCKET, Key=KEY)["TagSet"] == []
    assert client.get_bucket_acl(Bucket=BUCKET)["Grants"][0]["Permission"] == "FULL_CONTROL"
    assert "Status" not in client.get_bucket_versioning(Bucket=BUCKET)


@pytest.mark.parametrize(
    "asked",
    [{"Tagging": "a=b"}, {"ACL": "public-read"}, {"ServerSideEncryption": "aws:kms"},
     {"StorageClass": "GLACIER"}, {"GrantRead": "id=1"}, {"WebsiteRedirectLocation": "/x"},
     {"ObjectLockLegalHoldStatus": "ON"}, {"WriteOffsetBytes": 0}],
)  # fmt: skip
def test_a_header_that_would_not_be_heeded_is_refused(place: Place, asked: dict[str, Any]) -> None:
    client = place.client()
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket=BUCKET, Key=KEY, Body=b"other", **asked)
    assert error.value.response["Error"]["Code"] == "NotImplemented"
    assert unharmed(client)
    client.put_object(Bucket=BUCKET, Key="x", Body=b"1", ACL="private", ServerSideEncryption="AES256")


def test_a_large_object_is_copied_part_by_part(place: Place, tmp_path: Path) -> None:
    client, data = place.client(), os.urandom(20 * MIB + 3)
    client.put_object(Bucket=BUCKET, Key="large", Body=data, Metadata={"kept": "yes"})
    client.copy({"Bucket": BUCKET, "Key": "large"}, EMPTY, "a copy+ü")
    found = client.get_object(Bucket=EMPTY, Key="a copy+ü")
    assert found["Body"].read() == data and found["ETag"].endswith('-3"')
    client.copy_object(Bucket=EMPTY, Key="whole", CopySource={"Bucket": EMPTY, "Key": "a copy+ü"})
    assert client.get_object(Bucket=EMPTY, Key="whole")["Body"].read() == data


def test_a_part_copies_the_range_that_it_names(place: Place) -> None:
    client = place.client()
    upload = {"Bucket": EMPTY, "Key": "ranges"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    source = {"Bucket": BUCKET, "Key": KEY}
    part = client.upload_part_copy(
        **upload, PartNumber=1, CopySource=source, CopySourceRange=f"bytes=5-{len(BODY) - 1}"
    )["CopyPartResult"]
    for asked in (f"bytes=5-{len(BODY)}", "bytes=5-", "bytes=7-5", "5-6"):
        with pytest.raises(ClientError, match="InvalidArgument"):
            client.upload_part_copy(**upload, PartNumber=2, CopySource=source, CopySourceRange=asked)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.upload_part_copy(**upload, PartNumber=2, CopySource=source, CopySourceIfMatch='"0"')
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert client.get_object(Bucket=EMPTY, Key="ranges")["Body"].read() == BODY[5:]


def test_metadata_is_copied_or_replaced(place: Place) -> None:
    client, source = place.client(), {"Bucket": BUCKET, "Key": KEY}
    client.copy_object(Bucket=BUCKET, Key="copied", CopySource=source)
    assert client.head_object(Bucket=BUCKET, Key="copied")["Metadata"] == {"a": "b"}
    client.copy_object(
        Bucket=BUCKET, Key="copied", CopySource=source, MetadataDirective="REPLACE", Metadata={"c": "d"}
    )
    assert client.head_object(Bucket=BUCKET, Key="copied")["Metadata"] == {"c": "d"}
    with pytest.raises(ClientError, match="to itself"):
        client.copy_object(Bucket=BUCKET, Key=KEY, CopySource=source)


def test_parts_are_listed_completed_in_order_and_gone_when_aborted(place: Place) -> None:
    client = place.client()
    upload: dict[str, Any] = {"Bucket": EMPTY, "Key": "parts"}
    upload["UploadId"] = client.create_multipart_upload(**upload, Metadata={"a": "b"})["UploadId"]
    sent = [
        client.upload_part(**upload, PartNumber=number, Body=bytes([number]) * (5 * MIB))["ETag"]
        for number in (1, 2, 3)
    ]
    named = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(sent, start=1)]
    assert [part["Size"] for part in client.list_parts(**upload)["Parts"]] == [5 * MIB] * 3
    page = client.list_parts(**upload, MaxParts=2)
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 2
    assert client.list_multipart_uploads(Bucket=EMPTY)["Uploads"][0]["Key"] == "parts"
    for parts, code in (
        (named[::-1], "InvalidPartOrder"),
        ([*named, {"PartNumber": 9, "ETag": sent[0]}], "InvalidPart"),
        ([{"PartNumber": 1, "ETag": sent[1]}], "InvalidPart"),
    ):
        with pytest.raises(ClientError, match=code):
            client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    made = client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [named[0], named[2]]})
    again = client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [named[0], named[2]]})
    assert made["ETag"] == again["ETag"] and made["ETag"].endswith('-2"')
    found = client.get_object(Bucket=EMPTY, Key="parts")
    assert found["Body"].read() == b"\1" * (5 * MIB) + b"\3" * (5 * MIB) and found["Metadata"] == {"a": "b"}
    other = client.create_multipart_upload(Bucket=EMPTY, Key="parts")["UploadId"]
    client.upload_part(Bucket=EMPTY, Key="parts", UploadId=other, PartNumber=1, Body=b"x")
    client.abort_multipart_upload(Bucket=EMPTY, Key="parts", UploadId=other)
    with pytest.raises(ClientError, match="NoSuchUpload"):
        client.list_parts(Bucket=EMPTY, Key="parts", UploadId=other)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=EMPTY)
    assert list((place.store.data / ".nearstream" / "uploads").iterdir()) == []


def test_a_part_that_is_too_small_is_told(place: Place) -> None:
    client = place.client()
    upload: dict[str, Any] = {"Bucket": EMPTY, "Key": "small"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": client.upload_part(**upload, PartNumber=number, Body=b"x")["ETag"]}
        for number in (1, 2)
    ]
    with pytest.raises(ClientError, match="EntityTooSmall"):
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def table() -> list[str]:
    """The rows of the reference, one an operation."""
    rows = []
    for name in OPERATIONS:
        answer = READS.get(ALIASES.get(name, name))
        if name in SERVED:
            rows.append(f"| {name} | served |")
        elif answer is None or name in ELSEWHERE:
            rows.append(f"| {name} | refused: 501 `NotImplemented` |")
        elif answer.code:
            rows.append(f"| {name} | never set: {answer.status} `{answer.code}` |")
        else:
            rows.append(f"| {name} | never set: {answer.document} |")
    return rows


def test_the_table_in_the_reference_is_the_one_that_is_served() -> None:
    page = (ROOT / "docs/reference/s3.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in page if line.startswith("| ") and line.split()[1] in OPERATIONS] == table()


def test_terraform_empties_a_bucket_by_its_versions(place: Place) -> None:
    bucket = boto3.resource(
        "s3", endpoint_url=place.url, region_name="us-east-1",
        aws_access_key_id=place.keys.access_key, aws_secret_access_key=place.keys.secret_key,
    ).Bucket(BUCKET)  # fmt: skip
    assert [version.id for version in bucket.object_versions.all()] == ["null"]
    bucket.object_versions.delete()
    bucket.delete()
