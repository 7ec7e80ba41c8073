"""Keys of every kind, over real sockets: what is put is what is listed and given, whatever its key."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.frontdoor.test_objects import signed
from tests.support.objects import Place, object_site

from nearstream.core.errors import Unusable
from nearstream.deploy.objectstore.records import Facts
from nearstream.deploy.objectstore.store import ObjectStore

BUCKET = "keys"
ODD = ["models/", "m", "m/n", "m/n/o", "a//b", "/a", "//", "/", "x/./y", "..", ".", "../up", "a/..", "a/../b",
       "n" * 256, "p/" + "n" * 256 + "/q", "k" * 1024, "ü" * 512, "a/" * 512, "日本語/模型", "e\u0301", "é",
       "A", "a", "a+b c%41&=?#", "tab\there", "\x01", "\x7f", "nul\0nul", ".nearstream/index.db",
       ".rclone_temp_x", "con", "trailing.", "trailing ", "\\back", "new\nline", "cr\rx",
       "\U0001f600", "<&>\"'"]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with object_site(tmp_path_factory.mktemp("site")) as running:
        running.client().create_bucket(Bucket=BUCKET)
        yield running


@pytest.fixture(scope="module")
def client(place: Place) -> Any:
    return place.client()


def listed(client: Any, **parameters: Any) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, **parameters)
    return [each["Key"] for page in pages for each in page.get("Contents", [])]


def emptied(client: Any) -> None:
    for key in listed(
        client
    ):  # one by one: XML has no form for control characters, so DeleteObjects takes none
        client.delete_object(Bucket=BUCKET, Key=key)


def test_every_odd_key_is_held_beside_all_others(place: Place, client: Any) -> None:
    for key in ODD:
        client.put_object(Bucket=BUCKET, Key=key, Body=key.encode(), Metadata={"n": str(len(key))})
    assert listed(client) == sorted(ODD, key=str.encode)
    for key in ODD:
        found = client.get_object(Bucket=BUCKET, Key=key)
        assert (found["Body"].read(), found["Metadata"]) == (key.encode(), {"n": str(len(key))})
        client.copy_object(Bucket=BUCKET, Key="copied", CopySource={"Bucket": BUCKET, "Key": key})
        assert client.get_object(Bucket=BUCKET, Key="copied")["Body"].read() == key.encode()
    client.delete_object(Bucket=BUCKET, Key="copied")
    for key in ODD:
        client.delete_object(Bucket=BUCKET, Key=key)
    assert listed(client) == []
    assert not list((place.store.data / BUCKET).iterdir())
    assert not list((place.store.data / ".nearstream" / "held").iterdir())


@pytest.mark.parametrize("key", ODD)
def test_a_client_that_waits_to_be_invited_never_waits_long(place: Place, client: Any, key: str) -> None:
    path = client.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": key}).partition("?")[0]
    path = path.removeprefix(place.url)
    headers = signed(place, "PUT", path, "UNSIGNED-PAYLOAD")
    headers |= {"Expect": "100-continue", "Content-Length": "4"}
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=10)
    connection.putrequest("PUT", path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(b"body")
    assert connection.getresponse().status == 200
    connection.close()
    assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"body"


def test_a_key_that_is_too_long_is_refused_before_its_body(client: Any) -> None:
    with pytest.raises(ClientError) as error:
        client.put_object(Bucket=BUCKET, Key="k" * 1025, Body=b"x")
    assert error.value.response["Error"]["Code"] == "KeyTooLongError"


def test_a_key_that_is_not_utf_8_is_refused(place: Place) -> None:
    path = f"/{BUCKET}/%ff"
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=10)
    connection.request("PUT", path, b"x", signed(place, "PUT", path, "UNSIGNED-PAYLOAD"))
    answer = connection.getresponse()
    assert (answer.status, b"<Code>InvalidURI</Code>" in answer.read()) == (400, True)


def test_plain_keys_are_plain_files(place: Place, client: Any) -> None:
    client.put_object(Bucket=BUCKET, Key="my model/weights.bin", Body=b"weights")
    path = place.store.data / BUCKET / "my model" / "weights.bin"
    assert path.read_bytes() == b"weights"
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700


def test_files_of_an_earlier_version_and_of_a_persons_hand_are_objects(tmp_path: Path) -> None:
    folder = tmp_path / "objects" / "old-bucket" / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"kept")
    (folder / ".rclone_temp_x").write_bytes(b"half")
    (folder / "link").symlink_to("/etc/passwd")
    with object_site(tmp_path) as site:
        client = site.client()
        (found,) = client.list_objects_v2(Bucket="old-bucket")["Contents"]
        etag = hashlib.md5(b"kept").hexdigest()
        assert (found["Key"], found["ETag"]) == ("deep/er/model.bin", f'"{etag}"')
        assert client.get_object(Bucket="old-bucket", Key="deep/er/model.bin")["Body"].read() == b"kept"
        (folder / "by-hand").write_bytes(b"later")
        assert client.get_object(Bucket="old-bucket", Key="deep/er/by-hand")["Body"].read() == b"later"
        client.put_object(Bucket="old-bucket", Key="changed", Body=b"before", Metadata={"a": "b"})
        changed = site.store.data / "old-bucket" / "changed"
        changed.write_bytes(b"after all")
        now = client.get_object(Bucket="old-bucket", Key="changed")
        assert now["Body"].read() == b"after all" and now["Metadata"] == {}
        changed.unlink()
        with pytest.raises(client.exceptions.NoSuchKey):
            client.get_object(Bucket="old-bucket", Key="changed")


def test_what_is_known_of_objects_outlives_the_store_and_what_a_crash_left_does_not(tmp_path: Path) -> None:
    with object_site(tmp_path) as site:
        client = site.client()
        client.create_bucket(Bucket=BUCKET)
        for key in ("plain", "odd//key"):
            client.put_object(Bucket=BUCKET, Key=key, Body=b"x", ContentType="text/x", Metadata={"a": "b"})
        upload = client.create_multipart_upload(Bucket=BUCKET, Key="goes on")["UploadId"]
        part = client.upload_part(Bucket=BUCKET, Key="goes on", UploadId=upload, PartNumber=1, Body=b"part")
    own = tmp_path / "objects" / ".nearstream"
    for left in (own / "drafts" / "half", own / "held" / "orphan"):
        left.write_bytes(b"left by a crash")
    (own / "uploads" / "orphan").mkdir()
    with object_site(tmp_path) as site:
        client = site.client()
        for key in ("plain", "odd//key"):
            found = client.head_object(Bucket=BUCKET, Key=key)
            assert (found["ContentType"], found["Metadata"]) == ("text/x", {"a": "b"})
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(Bucket=BUCKET, Key="goes on", UploadId=upload, MultipartUpload=parts)
        assert client.get_object(Bucket=BUCKET, Key="goes on")["Body"].read() == b"part"
    assert not list((own / "drafts").iterdir()) and not list((own / "uploads").iterdir())
    assert len(list((own / "held").iterdir())) == 1


def test_a_bucket_with_files_that_are_no_objects_stays(place: Place, client: Any) -> None:
    client.create_bucket(Bucket="not-empty")
    (place.store.data / "not-empty" / "by-hand").write_bytes(b"x")
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        client.delete_bucket(Bucket="not-empty")
    assert (place.store.data / "not-empty" / "by-hand").read_bytes() == b"x"


PARTS = st.sampled_from(["", "a", "b", "ab", ".", "..", "é", "a b", "-", "~", "\x01", "z" * 256])
KEYS = (
    st.lists(PARTS, min_size=1, max_size=4).map("/".join)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
).filter(lambda key: key != "")  # fmt: skip
LISTINGS = st.tuples(
    st.sampled_from(["", "a", "a/", "é", "/", "a/b"]), st.sampled_from(["", "/", "b", "//"]),
    st.integers(1, 4), st.sampled_from(["", "a", "a/", "a/b", "~"]), st.booleans(),
)  # fmt: skip


STEPS = st.tuples(st.sampled_from(["put", "put", "delete", "copy"]), KEYS, st.binary(max_size=9))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(STEPS, max_size=9),
    listings=st.lists(LISTINGS, min_size=1, max_size=3),
)  # fmt: skip
def test_the_store_is_a_dictionary_that_is_listed_in_order(
    client: Any, steps: list[tuple[str, str, bytes]], listings: list[tuple[str, str, int, str, bool]]
) -> None:
    emptied(client)
    model: dict[str, bytes] = {}
    for action, key, body in steps:
        if action == "put":
            client.put_object(Bucket=BUCKET, Key=key, Body=body)
            model[key] = body
        elif action == "delete":
            client.delete_object(Bucket=BUCKET, Key=key)
            model.pop(key, None)
        elif model:
            source = min(model)
            if source != key:
                client.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": source})
                model[key] = model[source]
    assert listed(client, PaginationConfig={"PageSize": 2}) == sorted(model, key=str.encode)
    for key, body in model.items():
        assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body
    for prefix, delimiter, size, after, old in listings:
        wanted = expected(model, prefix, delimiter, after)
        assert paged(client, prefix, delimiter, size, after, old=old) == wanted


def expected(model: dict[str, bytes], prefix: str, delimiter: str, after: str) -> list[str]:
    """Keys and common prefixes together, in order."""
    found: set[str] = set()
    for key in model:
        if key.startswith(prefix) and key.encode() > after.encode():
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            group = key if at < 0 else key[: at + len(delimiter)]
            if at < 0 or group != after:
                found.add(group if at < 0 else group + "\0group")
    return sorted((each.removesuffix("\0group") for each in found), key=str.encode)


def paged(client: Any, prefix: str, delimiter: str, size: int, after: str, *, old: bool) -> list[str]:
    found: list[str] = []
    asked: dict[str, Any] = {"Marker" if old else "StartAfter": after}
    while True:
        list_ = client.list_objects if old else client.list_objects_v2
        page = list_(Bucket=BUCKET, Prefix=prefix, Delimiter=delimiter, MaxKeys=size, **asked)
        entries = [each["Key"] for each in page.get("Contents", [])]
        entries += [each["Prefix"] for each in page.get("CommonPrefixes", [])]
        assert len(entries) <= size
        found += sorted(entries, key=str.encode)
        if not page["IsTruncated"]:
            return found
        if old:
            asked = {"Marker": page.get("NextMarker") or entries[-1]}
        else:
            asked = {"ContinuationToken": page["NextContinuationToken"]}


async def test_a_broken_index_is_told_at_the_start(tmp_path: Path) -> None:
    own = tmp_path / ".nearstream"
    own.mkdir()
    (own / "index.db").write_bytes(os.urandom(4096))
    with pytest.raises(Unusable, match=r"index of objects .* cannot be opened: file is not a database"):
        async with ObjectStore(tmp_path, clock=time.time):
            pass


async def test_a_disk_that_does_not_tell_is_not_taken_for_an_object_that_is_gone(tmp_path: Path) -> None:
    async with ObjectStore(tmp_path, clock=time.time) as store:
        store.make_bucket("models", "us-east-1")
        draft = store.files.draft()
        draft.write(b"weights")
        row = store.put(("models", "a/b"), draft, etag="e", facts=Facts({"content-type": "text/plain"}))
        folder = tmp_path / "models" / "a"
        folder.rename(tmp_path / "kept")
        folder.symlink_to(folder)  # the system says ELOOP of whatever lies in it
        with pytest.raises(OSError, match="symbolic links"):
            store.find("models", "a/b")
        folder.unlink()
        (tmp_path / "kept").rename(folder)
        assert store.find("models", "a/b") == row
