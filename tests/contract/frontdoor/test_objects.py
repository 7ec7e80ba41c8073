"""The site's own S3 as boto3 sees it, over real sockets and the real store."""

from __future__ import annotations

import hashlib
import http.client
import os
import zlib
from base64 import b64encode
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as Keys
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.objects import KEYS, Place, object_site
from tests.support.waiting import eventually

BUCKET = "sagemaker-us-east-1-123456789012"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with object_site(tmp_path_factory.mktemp("site")) as running:
        running.client(attempts=5).create_bucket(Bucket=BUCKET)
        yield running


@pytest.fixture(scope="module")
def client(place: Place) -> Any:
    return place.client()


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


class _AsToldSigner(S3SigV4Auth):
    """Signs the body's hash that it is given instead of taking it."""

    def payload(self, request: Any) -> str:
        return str(request.context["told"])


def signed(place: Place, method: str, path: str, told: str, host: str = "", **headers: str) -> dict[str, str]:
    request = AWSRequest(method, f"http://{host or f'127.0.0.1:{place.port}'}{path}", headers=headers)
    request.context["told"] = told
    _AsToldSigner(Keys(KEYS.access_key, KEYS.secret_key), "s3", KEYS.region).add_auth(request)
    return dict(request.headers)


def call(
    place: Place,
    method: str,
    path: str,
    body: bytes | Iterator[bytes] = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_buckets_are_made_found_and_listed(place: Place, client: Any) -> None:
    client.create_bucket(Bucket="made-here")
    place.client(region_name="eu-west-1").create_bucket(
        Bucket="made-there", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    client.head_bucket(Bucket="made-here", ExpectedBucketOwner=KEYS.account)
    names = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    assert {"made-here", "made-there", BUCKET} <= names
    client.create_bucket(Bucket="made-here")
    elsewhere = place.client(region_name="eu-west-1")
    with pytest.raises(elsewhere.exceptions.BucketAlreadyOwnedByYou):
        elsewhere.create_bucket(
            Bucket="made-there", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
    client.delete_bucket(Bucket="made-here")
    with pytest.raises(ClientError) as error:
        client.head_bucket(Bucket="made-here")
    assert refused(error) == ("404", 404)


def test_an_object_comes_back_with_what_is_known_of_it(client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="a folder/ü+&=.txt", Body=b"hello", Metadata={"made-by": "me"})
    found = client.get_object(Bucket=BUCKET, Key="a folder/ü+&=.txt")
    assert found["Body"].read() == b"hello" and found["Metadata"] == {"made-by": "me"}
    assert found["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    part = client.get_object(Bucket=BUCKET, Key="a folder/ü+&=.txt", Range="bytes=1-3")
    assert part["Body"].read() == b"ell" and part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert client.head_object(Bucket=BUCKET, Key="a folder/ü+&=.txt")["ContentLength"] == 5
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object(Bucket=BUCKET, Key="nothing")


def test_a_large_file_goes_up_in_parts_and_comes_down_whole(client: Any, tmp_path: Path) -> None:
    data = os.urandom(20 * MIB + 1)
    (tmp_path / "up").write_bytes(data)
    client.upload_file(str(tmp_path / "up"), BUCKET, "models/large.bin")
    client.download_file(BUCKET, "models/large.bin", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == data


def test_parts_that_are_given_up_leave_nothing(client: Any) -> None:
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="half")["UploadId"]
    client.upload_part(Bucket=BUCKET, Key="half", UploadId=upload, PartNumber=1, Body=b"x" * (5 * MIB))
    client.abort_multipart_upload(Bucket=BUCKET, Key="half", UploadId=upload)
    assert "Contents" not in client.list_objects_v2(Bucket=BUCKET, Prefix="half")


def test_objects_are_listed_as_old_code_does_and_deleted_together(client: Any) -> None:
    for number in range(3):
        client.put_object(Bucket=BUCKET, Key=f"listed/{number}", Body=b"x")
    first = client.list_objects(Bucket=BUCKET, Prefix="listed/", MaxKeys=2)
    rest = client.list_objects(Bucket=BUCKET, Prefix="listed/", Marker=first["Contents"][-1]["Key"])
    keys = [each["Key"] for each in first["Contents"] + rest["Contents"]]
    assert first["IsTruncated"] and keys == ["listed/0", "listed/1", "listed/2"]
    gone = client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
    assert len(gone["Deleted"]) == 3
    assert "Contents" not in client.list_objects(Bucket=BUCKET, Prefix="listed/")
    client.head_bucket(Bucket=BUCKET)


def test_the_resource_interface_of_older_code_works(place: Place, client: Any) -> None:
    bucket = boto3.resource(
        "s3", endpoint_url=place.url, region_name=KEYS.region,
        aws_access_key_id=KEYS.access_key, aws_secret_access_key=KEYS.secret_key,
    ).Bucket(BUCKET)  # fmt: skip
    bucket.put_object(Key="by-resource/a", Body=b"1")
    bucket.objects.filter(Prefix="by-resource/").delete()
    assert not list(bucket.objects.filter(Prefix="by-resource/"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_either_address_of_this_machine_will_do(place: Place, host: str) -> None:
    client = place.client(f"http://{host}:{place.port}")
    client.put_object(Bucket=BUCKET, Key="by-address", Body=host.encode())
    assert client.get_object(Bucket=BUCKET, Key="by-address")["Body"].read() == host.encode()


def test_a_bucket_may_stand_in_the_host(place: Place, client: Any) -> None:
    host, body = f"{BUCKET}.localhost:{place.port}", b"in the host"
    told = hashlib.sha256(body).hexdigest()
    headers = signed(place, "PUT", "/virtual/key", told, host=host) | {"Host": host}
    assert call(place, "PUT", "/virtual/key", body, headers)[0] == 200
    assert client.get_object(Bucket=BUCKET, Key="virtual/key")["Body"].read() == body
    url = place.client(
        f"http://localhost:{place.port}", signature_version="s3v4", s3={"addressing_style": "virtual"}
    ).generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "virtual/key"})
    parts = urlsplit(url)
    assert parts.netloc == host
    assert call(place, "GET", f"{parts.path}?{parts.query}", headers={"Host": host}) == (200, body)


def test_a_presigned_address_opens_one_object_until_it_expires(place: Place) -> None:
    client = place.client(signature_version="s3v4")
    client.put_object(Bucket=BUCKET, Key="lent", Body=b"lent")

    def target(expires_s: int) -> str:
        url = client.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "lent"}, expires_s)
        return url.removeprefix(place.url)

    assert call(place, "GET", target(60)) == (200, b"lent")
    status, said = call(place, "GET", target(60).replace("lent", "large"))
    assert status == 403 and b"<Code>SignatureDoesNotMatch</Code>" in said
    status, said = call(place, "GET", target(0))
    assert status in (400, 403) and b"<Error>" in said


def test_who_has_another_secret_or_none_is_refused_in_the_words_of_s3(place: Place) -> None:
    with pytest.raises(ClientError) as error:
        place.client(secret="another").list_buckets()
    assert refused(error) == ("SignatureDoesNotMatch", 403)
    with pytest.raises(ClientError) as error:
        place.client(key="AKIASTRANGER").list_buckets()
    assert refused(error) == ("InvalidAccessKeyId", 403)
    nobody = boto3.client(
        "s3", endpoint_url=place.url, region_name=KEYS.region, config=Config(signature_version=UNSIGNED)
    )
    with pytest.raises(ClientError) as error:
        nobody.get_object(Bucket=BUCKET, Key="lent")
    assert refused(error) == ("AccessDenied", 403)
    with pytest.raises(ClientError) as error:
        nobody.head_object(Bucket=BUCKET, Key="lent")
    assert refused(error) == ("403", 403)


def test_a_signature_of_version_2_is_told_what_to_do(place: Place, client: Any) -> None:
    url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "lent"})
    status, said = call(place, "GET", url.removeprefix(place.url))
    assert status == 400 and b"use AWS4-HMAC-SHA256" in said


def test_a_body_that_is_not_the_signed_one_is_refused_and_not_kept(place: Place, client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="kept", Body=b"before")
    for size in (6, 3 * MIB):
        told = hashlib.sha256(b"a" * size).hexdigest()
        headers = signed(place, "PUT", f"/{BUCKET}/kept", told)
        status, said = call(place, "PUT", f"/{BUCKET}/kept", b"b" * size, headers)
        assert (status, b"XAmzContentSHA256Mismatch" in said) == (400, True)
    assert client.get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"before"


def test_half_a_body_is_not_kept(place: Place, client: Any) -> None:
    headers = signed(place, "PUT", f"/{BUCKET}/cut", "UNSIGNED-PAYLOAD")
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    connection.putrequest("PUT", f"/{BUCKET}/cut", skip_host=True, skip_accept_encoding=True)
    for name, value in {**headers, "Host": f"127.0.0.1:{place.port}", "Content-Length": str(4 * MIB)}.items():
        connection.putheader(name, value)
    connection.endheaders(b"x" * MIB)
    connection.close()
    assert "Contents" not in client.list_objects_v2(Bucket=BUCKET, Prefix="cut")
    drafts = place.store.data / ".nearstream" / "drafts"
    eventually(lambda: not list(drafts.iterdir()), "nothing of it is left")


def test_a_body_in_chunks_with_a_trailer_is_kept_without_its_framing(place: Place, client: Any) -> None:
    body = b"hello world" * 1000
    check = b64encode(zlib.crc32(body).to_bytes(4, "big"))
    framed = b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n" % (len(body), body, check)
    headers = signed(
        place, "PUT", f"/{BUCKET}/chunked", "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        **{"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": str(len(body)),
           "X-Amz-Trailer": "x-amz-checksum-crc32",
           "X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
    )  # fmt: skip
    assert call(place, "PUT", f"/{BUCKET}/chunked", framed, headers)[0] == 200
    assert client.get_object(Bucket=BUCKET, Key="chunked")["Body"].read() == body


def answered_before_its_body(place: Place, path: str, length: int) -> tuple[int, bytes]:
    """What a client that waits to be invited is told, without sending a byte of its body."""
    headers = signed(place, "PUT", path, "UNSIGNED-PAYLOAD")
    headers |= {"Expect": "100-continue", "Content-Length": str(length)}
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    connection.putrequest("PUT", path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    said = answer.status, answer.read()
    connection.close()
    return said


def test_an_upload_that_cannot_be_taken_is_refused_before_its_body_is_sent(place: Place) -> None:
    status, said = answered_before_its_body(place, "/no-such-bucket/key", MIB)
    assert (status, b"NoSuchBucket" in said) == (404, True)
    status, said = answered_before_its_body(place, f"/{BUCKET}/key", 10**15)
    assert (status, b"InsufficientStorage" in said and b"MiB are free" in said) == (507, True)


def test_a_conditional_write_happens_only_under_its_condition(client: Any) -> None:
    first = client.put_object(Bucket=BUCKET, Key="conditional", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket=BUCKET, Key="conditional", Body=b"second", IfNoneMatch="*")
    assert refused(error) == ("PreconditionFailed", 412)
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket=BUCKET, Key="conditional", Body=b"second", IfMatch='"0123"')
    assert refused(error) == ("PreconditionFailed", 412)
    client.put_object(Bucket=BUCKET, Key="conditional", Body=b"third", IfMatch=first["ETag"])
    with pytest.raises(ClientError) as error:
        client.delete_object(Bucket=BUCKET, Key="conditional", IfMatch=first["ETag"])
    assert refused(error) == ("PreconditionFailed", 412)
    assert client.get_object(Bucket=BUCKET, Key="conditional")["Body"].read() == b"third"


def test_reads_are_conditional_on_etag_and_date(client: Any) -> None:
    etag = client.put_object(Bucket=BUCKET, Key="read-if", Body=b"0123456789")["ETag"]
    found = client.get_object(Bucket=BUCKET, Key="read-if", IfMatch=etag)
    for condition, status in (
        ({"IfNoneMatch": etag}, 304), ({"IfMatch": '"0"'}, 412),
        ({"IfModifiedSince": found["LastModified"]}, 304), ({"IfUnmodifiedSince": 0}, 412),
    ):  # fmt: skip
        for read in (client.get_object, client.head_object):
            with pytest.raises(ClientError) as error:
                read(Bucket=BUCKET, Key="read-if", **condition)
            assert refused(error)[1] == status


@pytest.mark.parametrize(
    ("asked", "given"),
    [("bytes=0-0", b"0"), ("bytes=3-", b"3456789"), ("bytes=-3", b"789"), ("bytes=8-100", b"89"),
     ("bytes=-100", b"0123456789"), ("bytes=0-1,3-4", b"0123456789"), ("lines=1-2", b"0123456789")],
)  # fmt: skip
def test_a_range_is_what_it_says(client: Any, asked: str, given: bytes) -> None:
    client.put_object(Bucket=BUCKET, Key="ranged", Body=b"0123456789")
    assert client.get_object(Bucket=BUCKET, Key="ranged", Range=asked)["Body"].read() == given
    assert client.head_object(Bucket=BUCKET, Key="ranged", Range=asked)["ContentLength"] == len(given)


def test_a_range_past_the_end_is_told(client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="ranged", Body=b"0123456789")
    for asked in ("bytes=10-", "bytes=-0"):
        with pytest.raises(ClientError) as error:
            client.get_object(Bucket=BUCKET, Key="ranged", Range=asked)
        assert refused(error) == ("InvalidRange", 416)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=4096), cuts=st.lists(st.integers(1, 4096), max_size=5))
def test_a_body_cut_anywhere_is_the_same_object(
    place: Place, client: Any, data: bytes, cuts: list[int]
) -> None:
    headers = signed(place, "PUT", f"/{BUCKET}/cuts", hashlib.sha256(data).hexdigest())
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = (data[start:end] for start, end in pairwise(ends))
    headers["Content-Length"] = str(len(data))
    assert call(place, "PUT", f"/{BUCKET}/cuts", pieces, headers)[0] == 200
    assert client.get_object(Bucket=BUCKET, Key="cuts")["Body"].read() == data


def test_objects_that_lie_elsewhere_are_said_to(tmp_path: Path) -> None:
    with (
        object_site(tmp_path, elsewhere="https://s3.example.com") as site,
        pytest.raises(ClientError) as error,
    ):
        site.client(key="AKIAOFTHEOTHER").list_buckets()
    assert refused(error) == ("InvalidRequest", 400)
    assert "they lie at https://s3.example.com" in str(error.value)
