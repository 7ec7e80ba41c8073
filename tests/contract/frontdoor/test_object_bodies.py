"""Bodies of uploads: in chunks, signed or not, with checksums; what is not what it says to be is not kept."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import zlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.frontdoor.test_objects import call, refused, signed
from tests.support.objects import KEYS, Place, object_site
from tests.support.waiting import eventually

from nearstream.wire.aws import canonical
from nearstream.wire.aws.s3.crc import CRC32C, CRC64NVME

BUCKET = "bodies"
PATH = f"/{BUCKET}/key"
SIGNED, TRAILED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
MIB = 1024 * 1024
SUMS = {
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "crc32c": lambda data: CRC32C.update(data).to_bytes(4, "big"),
    "crc64nvme": lambda data: CRC64NVME.update(data).to_bytes(8, "big"),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha512": lambda data: hashlib.sha512(data).digest(),
    "md5": lambda data: hashlib.md5(data).digest(),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with object_site(tmp_path_factory.mktemp("site")) as running:
        running.client().create_bucket(Bucket=BUCKET)
        yield running


@pytest.fixture(scope="module")
def client(place: Place) -> Any:
    return place.client()


@pytest.fixture(autouse=True)
def _only_whole_bodies_are_kept(place: Place, client: Any) -> Iterator[None]:
    client.put_object(Bucket=BUCKET, Key="key", Body=b"before")
    yield
    drafts = place.store.data / ".nearstream" / "drafts"
    eventually(lambda: not list(drafts.iterdir()), "nothing half is left")


def sum_of(name: str, data: bytes) -> str:
    return b64encode(SUMS[name](data)).decode()


def kept(client: Any) -> bytes:
    body: bytes = client.get_object(Bucket=BUCKET, Key="key")["Body"].read()
    return body


class Chunks:
    """Signs chunks as SDKs do, from AWS's description of it."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.last = headers["Authorization"].rpartition("Signature=")[2]
        self.when = headers["X-Amz-Date"]
        self.scope = f"{self.when[:8]}/{KEYS.region}/s3/aws4_request"
        self.key = canonical.signing_key(KEYS.secret_key, self.when[:8], KEYS.region, "s3")

    def sign(self, kind: str, *hashes: str) -> str:
        lines = "\n".join([f"AWS4-HMAC-SHA256-{kind}", self.when, self.scope, self.last, *hashes])
        self.last = hmac.new(self.key, lines.encode(), hashlib.sha256).hexdigest()
        return self.last

    def chunk(self, data: bytes) -> bytes:
        empty = hashlib.sha256(b"").hexdigest()
        signature = self.sign("PAYLOAD", empty, hashlib.sha256(data).hexdigest())
        return b"%x;chunk-signature=%b\r\n%b" % (
            len(data),
            signature.encode(),
            data + b"\r\n" if data else b"",
        )

    def trailer(self, line: str) -> bytes:
        signature = self.sign("TRAILER", hashlib.sha256(f"{line}\n".encode()).hexdigest())
        return f"{line}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()


def head(place: Place, kind: str, size: int, **more: str) -> dict[str, str]:
    return signed(
        place, "PUT", PATH, kind,
        **{"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": str(size),
           "X-Amz-Content-Sha256": kind, **more},
    )  # fmt: skip


def framed(place: Place, pieces: Sequence[bytes], *, trailed: bool = False) -> tuple[dict[str, str], bytes]:
    data = b"".join(pieces)
    more = {"X-Amz-Trailer": "x-amz-checksum-crc32c"} if trailed else {}
    headers = head(place, TRAILED if trailed else SIGNED, len(data), **more)
    chunks = Chunks(headers)
    body = b"".join(chunks.chunk(piece) for piece in (*pieces, b""))
    end = chunks.trailer(f"x-amz-checksum-crc32c:{sum_of('crc32c', data)}") if trailed else b"\r\n"
    return headers, body + end


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=5000), max_size=4),
    trailed=st.booleans(),
    cut=st.integers(1, 999),
)
def test_signed_chunks_cut_anywhere_are_the_object(
    place: Place, client: Any, pieces: list[bytes], trailed: bool, cut: int
) -> None:
    headers, body = framed(place, pieces, trailed=trailed)
    parts = (body[at : at + cut] for at in range(0, len(body), cut))
    status, said = call(place, "PUT", PATH, parts, headers | {"Content-Length": str(len(body))})
    assert status == 200, said
    assert kept(client) == b"".join(pieces)
    found = client.head_object(Bucket=BUCKET, Key="key")
    assert "ContentEncoding" not in found


@pytest.mark.parametrize("trailed", [False, True])
def test_chunks_with_a_wrong_signature_or_no_end_are_not_kept(
    place: Place, client: Any, trailed: bool
) -> None:
    headers, body = framed(place, [b"a" * 1000, b"b" * 1000], trailed=trailed)
    last = body.rindex(b"0;chunk-signature=")
    for changed, code in (
        (body.replace(b"aaa", b"aab", 1), "SignatureDoesNotMatch"),
        (body.replace(b"bbb", b"bba", 1), "SignatureDoesNotMatch"),
        (body[:last], "IncompleteBody"),
        (body[: last - 500], "IncompleteBody"),
        (body[:-100], "IncompleteBody"),
        (body[:last] + b"0\r\n\r\n", "InvalidRequest"),
        (body[:last] + b"0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n", "SignatureDoesNotMatch"),
        (body + b"more", "InvalidRequest"),
        (b"-6" + body, "InvalidRequest"),
        (b"x" * 5000, "InvalidRequest"),
    ):
        status, said = call(place, "PUT", PATH, changed, headers)
        assert (status in (400, 403), code.encode() in said) == (True, True), (said, code)
    assert kept(client) == b"before"


def test_a_stream_of_unknown_length_is_taken_by_its_decoded_length(place: Place, client: Any) -> None:
    """What the JavaScript SDK sends for a stream: no Content-Length, chunks of HTTP around chunks of AWS."""
    data = b"javascript " * 10_000
    headers = head(place, UNSIGNED, len(data), **{"X-Amz-Trailer": "x-amz-checksum-crc32"})

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(data), 8192):
            piece = data[at : at + 8192]
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
        yield b"0\r\nx-amz-checksum-crc32:" + sum_of("crc32", data).encode() + b"\r\n\r\n"

    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    connection.request("PUT", PATH, pieces(), headers, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    assert kept(client) == data


def test_a_stream_without_any_length_is_told_to_name_it(place: Place) -> None:
    headers = signed(place, "PUT", PATH, "UNSIGNED-PAYLOAD")
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    connection.request("PUT", PATH, iter([b"x"]), headers, encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, b"MissingContentLength" in answer.read()) == (411, True)


@pytest.mark.parametrize("name", list(SUMS))
@pytest.mark.parametrize("size", [0, 5, 20_000, 3 * MIB + 7])
def test_a_checksum_that_is_sent_is_verified_and_given_back(
    place: Place, client: Any, name: str, size: int
) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    right, header = sum_of(name, data), f"x-amz-checksum-{name}"
    for sent, status in ((right, 200), (sum_of(name, data + b"!"), 400)):
        headers = signed(place, "PUT", PATH, "UNSIGNED-PAYLOAD", **{header: sent})
        given, said = call(place, "PUT", PATH, data, headers)
        assert given == status, said
        assert b"BadDigest" in said or status == 200
    found = signed(place, "GET", PATH, "UNSIGNED-PAYLOAD", **{"x-amz-checksum-mode": "ENABLED"})
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    connection.request("GET", PATH, headers=found)
    answer = connection.getresponse()
    assert (answer.read(), answer.headers[header]) == (data, right)


@pytest.mark.parametrize("name", list(SUMS))
def test_a_checksum_in_a_trailer_is_verified(place: Place, client: Any, name: str) -> None:
    data, header = b"trailed" * 999, f"x-amz-checksum-{name}"
    headers = head(place, UNSIGNED, len(data), **{"X-Amz-Trailer": header})
    for sent, said in ((sum_of(name, b"other"), b"BadDigest"), (None, b"MalformedTrailerError")):
        end = b"" if sent is None else f"{header}:{sent}\r\n".encode()
        status, answer = call(
            place, "PUT", PATH, b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(data), data, end), headers
        )
        assert (status, said in answer) == (400, True), answer
    assert kept(client) == b"before"


def test_content_md5_is_verified(client: Any) -> None:
    right = b64encode(hashlib.md5(b"body").digest()).decode()
    client.put_object(Bucket=BUCKET, Key="key", Body=b"body", ContentMD5=right)
    for md5, code in ((b64encode(b"x" * 16).decode(), "BadDigest"), ("eA==", "InvalidDigest")):
        with pytest.raises(ClientError) as error:
            client.put_object(Bucket=BUCKET, Key="key", Body=b"other", ContentMD5=md5)
        assert refused(error) == (code, 400)
    assert kept(client) == b"body"


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [("x-amz-checksum-xxhash64", "AAAAAAAAAAA=", b"NotImplemented"),
     ("x-amz-checksum-crc33", "AA==", b"InvalidRequest"),
     ("x-amz-checksum-crc32", "no base64", b"InvalidRequest"),
     ("x-amz-sdk-checksum-algorithm", "SHA256", b"InvalidRequest")],
)  # fmt: skip
def test_a_checksum_that_cannot_be_verified_is_refused(
    place: Place, client: Any, header: str, value: str, code: bytes
) -> None:
    headers = signed(place, "PUT", PATH, "UNSIGNED-PAYLOAD", **{header: value})
    status, said = call(place, "PUT", PATH, b"other", headers)
    assert (status in (400, 501), code in said) == (True, True), said
    assert kept(client) == b"before"


@pytest.mark.parametrize(
    "declared", ["anything", "", "E3B0" * 16, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "0" * 63]
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_a_body_that_the_signature_does_not_cover_is_refused(
    place: Place, client: Any, declared: str, method: str
) -> None:
    headers = signed(place, method, PATH, declared, **{"X-Amz-Content-Sha256": declared})
    status, said = call(place, method, PATH, b"other", headers)
    assert (status in (400, 403, 501), b"<Error>" in said) == (True, True), said
    assert kept(client) == b"before"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256", "CRC64NVME"])
def test_an_upload_in_parts_has_a_checksum_of_the_whole(place: Place, client: Any, algorithm: str) -> None:
    name = algorithm.lower()
    parts = [b"a" * (5 * MIB), b"b" * 1000]
    full = algorithm == "CRC64NVME"
    upload: dict[str, Any] = {"Bucket": BUCKET, "Key": "parts"}
    upload["UploadId"] = client.create_multipart_upload(**upload, ChecksumAlgorithm=algorithm)["UploadId"]
    named = []
    for number, part in enumerate(parts, start=1):
        made = client.upload_part(
            **upload, PartNumber=number, Body=part, **{f"Checksum{algorithm}": sum_of(name, part)}
        )
        named.append({"PartNumber": number, "ETag": made["ETag"], f"Checksum{algorithm}": sum_of(name, part)})
    wrong = [{**named[0], f"Checksum{algorithm}": sum_of(name, b"")}, named[1]]
    with pytest.raises(ClientError, match="InvalidPart"):
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": wrong})
    with pytest.raises(ClientError, match="BadDigest"):
        client.complete_multipart_upload(
            **upload, MultipartUpload={"Parts": named}, **{f"Checksum{algorithm}": sum_of(name, b"")}
        )
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": named})
    found = client.get_object(Bucket=BUCKET, Key="parts", ChecksumMode="ENABLED")
    assert found["Body"].read() == b"".join(parts)
    whole, joined = sum_of(name, b"".join(parts)), b"".join(SUMS[name](part) for part in parts)
    assert found[f"Checksum{algorithm}"] == (whole if full else f"{sum_of(name, joined)}-2")
    assert found["ChecksumType"] == ("FULL_OBJECT" if full else "COMPOSITE")


def test_a_client_that_stops_in_the_middle_is_not_waited_for(
    place: Place, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearstream.frontdoor.objects.bodies.IDLE_S", 0.2)
    headers = signed(place, "PUT", PATH, "UNSIGNED-PAYLOAD") | {"Content-Length": "100"}
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    connection.putrequest("PUT", PATH, skip_host=True)
    for name, value in {**headers, "Host": f"127.0.0.1:{place.port}"}.items():
        connection.putheader(name, value)
    connection.endheaders(b"half")
    answer = connection.getresponse()
    assert (answer.status, b"RequestTimeout" in answer.read()) == (400, True)
    assert kept(client) == b"before"


def test_headers_of_an_object_are_given_back_and_can_be_asked_for_otherwise(client: Any) -> None:
    facts = {"ContentType": "text/x", "CacheControl": "no-cache", "ContentDisposition": "inline",
             "ContentEncoding": "gzip", "ContentLanguage": "de",
             "Metadata": {"a": "b", "c-d": "e f"}}  # fmt: skip
    client.put_object(Bucket=BUCKET, Key="headers", Body=b"x", **facts)
    found = client.get_object(Bucket=BUCKET, Key="headers")
    assert {name: found[name] for name in facts} == facts
    other = client.get_object(Bucket=BUCKET, Key="headers", ResponseContentType="text/y")
    assert other["ContentType"] == "text/y"
    with pytest.raises(ClientError, match="MetadataTooLarge"):
        client.put_object(Bucket=BUCKET, Key="headers", Body=b"x", Metadata={"a": "b" * 2048})
