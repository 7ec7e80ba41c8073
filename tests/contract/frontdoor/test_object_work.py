"""Long work on objects: beside the loop, with signs of life, and never waited for without end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.objects import Place, object_site

from nearstream.deploy.objectstore.uploads import Uploads
from nearstream.wire.aws.s3.payload import Payload

BUCKET = "work"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with object_site(tmp_path) as running:
        running.client().create_bucket(Bucket=BUCKET)
        yield running


def uploaded(client: Any) -> dict[str, Any]:
    """What completes an upload of one part."""
    upload: dict[str, Any] = {"Bucket": BUCKET, "Key": "parts"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    etag = client.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    return {**upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}


def test_bodies_are_hashed_and_written_beside_the_loop(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[str] = set()
    feed = Payload.feed

    def watched(self: Payload, data: bytes) -> bytes:
        threads.add(threading.current_thread().name)
        assert len(data) <= 2 * 1024 * 1024
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return feed(self, data)

    monkeypatch.setattr(Payload, "feed", watched)
    place.client().put_object(Bucket=BUCKET, Key="large", Body=b"x" * (5 * 1024 * 1024))
    assert threads and all(name.startswith("objects") for name in threads)


@pytest.mark.parametrize("fails", [False, True])
def test_a_completion_that_takes_long_shows_signs_of_life(
    place: Place, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    client, complete = place.client(), Uploads.complete
    wanted = uploaded(client)
    go_on, blanks = threading.Event(), threading.Event()

    def slow(self: Uploads, *arguments: Any) -> Any:
        assert go_on.wait(30)
        return complete(self, *arguments)

    async def seen(response: Any, data: bytes) -> None:
        await response.write(data)
        if data == b" ":
            go_on.set()
            blanks.set()

    monkeypatch.setattr(Uploads, "complete", slow)
    monkeypatch.setattr("nearstream.frontdoor.objects.answers.KEEPALIVE_S", 0.05)
    monkeypatch.setattr("nearstream.frontdoor.objects.answers.write", seen)
    if fails:
        wanted["MultipartUpload"]["Parts"][0]["ETag"] = '"another"'
        with pytest.raises(ClientError, match="InvalidPart"):
            client.complete_multipart_upload(**wanted)
    else:
        client.complete_multipart_upload(**wanted)
        assert client.get_object(Bucket=BUCKET, Key="parts")["Body"].read() == b"part"
    assert blanks.is_set()


def test_an_upload_is_completed_by_one_call_at_a_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    client, entered, go_on = place.client(), threading.Event(), threading.Event()
    wanted = uploaded(client)
    draft = place.store.files.draft

    def slow() -> Any:
        entered.set()
        assert go_on.wait(30)
        return draft()

    monkeypatch.setattr(place.store.files, "draft", slow)
    first = threading.Thread(target=place.client().complete_multipart_upload, kwargs=wanted)
    first.start()
    assert entered.wait(30)
    for other in (client.complete_multipart_upload, client.abort_multipart_upload):
        parameters = {
            name: wanted[name]
            for name in wanted
            if other == client.complete_multipart_upload or name != "MultipartUpload"
        }
        with pytest.raises(ClientError, match="OperationAborted"):
            other(**parameters)
    go_on.set()
    first.join()
    assert client.get_object(Bucket=BUCKET, Key="parts")["Body"].read() == b"part"


def test_a_file_whose_etag_takes_long_to_read_is_busy_not_a_hanging_call(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = place.client()
    (place.store.data / BUCKET / "by-hand").write_bytes(b"x")
    go_on, start = threading.Event(), place.store._hash

    def slow(*arguments: Any) -> None:
        assert go_on.wait(30)
        start(*arguments)

    monkeypatch.setattr(place.store, "_hash", slow)
    monkeypatch.setattr("nearstream.deploy.objectstore.store.READING_WAIT_S", 0.05)
    with pytest.raises(ClientError, match="SlowDown"):
        client.get_object(Bucket=BUCKET, Key="by-hand")
    go_on.set()
    monkeypatch.setattr("nearstream.deploy.objectstore.store.READING_WAIT_S", 30.0)
    assert client.get_object(Bucket=BUCKET, Key="by-hand")["Body"].read() == b"x"


def test_a_reader_keeps_the_object_that_it_opened(place: Place) -> None:
    client, before = place.client(), b"before" * 1_000_000
    client.put_object(Bucket=BUCKET, Key="replaced", Body=before)
    body = client.get_object(Bucket=BUCKET, Key="replaced")["Body"]
    assert body.read(6) == b"before"
    client.put_object(Bucket=BUCKET, Key="replaced", Body=b"after")
    assert body.read() == before[6:]
    assert client.get_object(Bucket=BUCKET, Key="replaced")["Body"].read() == b"after"
