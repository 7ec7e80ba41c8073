"""A model's data on its way from the site's own S3 to a folder."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.objects import KEYS, Place, object_site
from tests.support.ports import free_port
from tests.support.waiting import until

from nearstream.core.errors import Unfit, Unusable
from nearstream.models.archives import Bounds
from nearstream.models.artifacts import Places, model_data
from nearstream.models.objects import Access, Address, parse

BUCKET = "models-of-mine"


def tarred(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


@dataclass(frozen=True)
class Shelf:
    site: Place
    client: Any
    access: Access
    places: Places

    def put(self, key: str, data: bytes) -> str:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}"

    async def get(self, url: str, **options: Any) -> Path:
        return await model_data(url, access=self.access, places=self.places, **options)

    async def refusal(self, url: str, **options: Any) -> str:
        with pytest.raises(Unfit) as error:
            await self.get(url, **options)
        self.assert_nothing_left()
        return str(error.value)

    def assert_nothing_left(self) -> None:
        assert [path.name for path in self.places.cache.rglob("*") if path.suffix != ".lock"] in (
            [],
            ["artifacts"],
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with object_site(tmp_path_factory.mktemp("site")) as running:
        running.client(attempts=5).create_bucket(Bucket=BUCKET)
        yield running


@pytest.fixture
def shelf(place: Place, tmp_path: Path) -> Shelf:
    access = Access(place.url, KEYS.region, KEYS.access_key, KEYS.secret_key)
    return Shelf(place, place.client(), access, Places(tmp_path / "cache", tmp_path / "pins"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_an_archive_that_is_not_to_be_unpacked_lies_there_as_it_is(shelf: Shelf) -> None:
    url = shelf.put("kept/m.tar.gz", packed := tarred(a=b"1"))
    assert files(await shelf.get(url)) == {"a": b"1"}
    kept = Bounds(unpacks=False)
    assert files(await shelf.get(url, bounds=kept)) == {"m.tar.gz": packed}
    assert files(await shelf.get(f"s3://{BUCKET}/kept/", bounds=kept)) == {"m.tar.gz": packed}


async def test_an_archive_is_the_folder_that_it_holds(shelf: Shelf) -> None:
    url = shelf.put("a/model.tar.gz", tarred(mymodel__config=b"{}", mymodel__code__x=b"1"))
    folder = await shelf.get(url)
    assert files(folder) == {"config": b"{}", "code/x": b"1"}
    assert not list(shelf.places.cache.rglob("*.gz"))


async def test_all_below_a_prefix_is_the_folder(shelf: Shelf) -> None:
    shelf.put("p/llama/config.json", b"{}")
    shelf.put("p/llama/sub/weights", os.urandom(9_000_000))
    shelf.put("p/llama2/other", b"not this")
    for url in (
        f"s3://{BUCKET}/p/llama/",
        f"s3://{BUCKET}/p/llama",
        "https://models-of-mine.s3.amazonaws.com/p/llama/",
    ):
        found = files(await shelf.get(url))
        assert set(found) == {"config.json", "sub/weights"} and len(found["sub/weights"]) == 9_000_000


async def test_a_prefix_that_nothing_lies_below_is_an_empty_folder_and_said(shelf: Shelf) -> None:
    told: list[str] = []
    assert files(await shelf.get(f"s3://{BUCKET}/empty/", progress=told.append)) == {}
    assert told == [f"nothing lies below s3://{BUCKET}/empty/"]


async def test_one_file_alone_lies_in_a_folder(shelf: Shelf) -> None:
    assert files(await shelf.get(shelf.put("one/model.gguf", b"GGUF"))) == {"model.gguf": b"GGUF"}


async def test_the_forms_of_an_address(shelf: Shelf) -> None:
    site = "http://127.0.0.1:8040"
    wanted = Address("my.bucket", "a b/c")
    for url in (
        "s3://my.bucket/a b/c",
        "https://my.bucket.s3.us-west-2.amazonaws.com/a%20b/c",
        "https://my.bucket.s3.amazonaws.com/a%20b/c",
        "https://s3.us-west-2.amazonaws.com/my.bucket/a%20b/c",
        "https://my.bucket.s3.cn-north-1.amazonaws.com.cn/a%20b/c",
        "https://127.0.0.1:8040/my.bucket/a%20b/c",
    ):
        assert parse(url, site=site) == wanted, url
    for url in ("https://example.com/a", "https://s3.example.com/a/b", "s3:///key", "file:///etc/passwd"):
        with pytest.raises(Unfit, match="The model data URL"):
            parse(url, site=site)


async def test_what_is_not_there_is_said_in_one_sentence(shelf: Shelf) -> None:
    assert "There is no object s3://models-of-mine/none.tar.gz and none below" in await shelf.refusal(
        f"s3://{BUCKET}/none.tar.gz"
    )
    assert "There is no s3://no-such-bucket/x" in await shelf.refusal("s3://no-such-bucket/x")
    stranger = replace(shelf, access=replace(shelf.access, secret_key="wrong"))
    assert "may not be read with the keys" in await stranger.refusal(shelf.put("x.tar.gz", tarred(a=b"")))


@pytest.mark.parametrize("name", ["model.tar.gz", "model.zip", "model.tar"])
async def test_an_archive_that_is_none_leaves_nothing(shelf: Shelf, name: str) -> None:
    said = await shelf.refusal(shelf.put(f"broken/{name}", b"PK\x03\x04 not an archive" * 100))
    assert f"s3://{BUCKET}/broken/{name} is broken or cut short" in said


async def test_half_an_archive_and_a_hostile_one_are_refused_by_name(shelf: Shelf) -> None:
    whole = tarred(weights=os.urandom(50_000))
    assert "broken or cut short" in await shelf.refusal(shelf.put("half.tar.gz", whole[: len(whole) // 2]))
    hostile = shelf.put("up.tar.gz", tarred(**{"..__x": b""}))
    assert "its member '../x' lies outside" in await shelf.refusal(hostile)
    large = shelf.put("large/a", b"x" * 2000)
    assert "are allowed" in await shelf.refusal(large, bounds=Bounds(total_bytes=1000))


async def test_a_store_that_does_not_answer_is_worth_another_try(shelf: Shelf) -> None:
    away = replace(shelf, access=replace(shelf.access, url=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(Unusable, match=r"cannot be fetched from http://127\.0\.0\.1") as error:
        await away.get("s3://b-b-b/x")
    assert not isinstance(error.value, Unfit)


async def test_keys_that_are_not_given_are_those_of_the_environment(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS.secret_key)
    elsewhere = replace(shelf, access=Access(shelf.access.url, KEYS.region))
    assert files(await elsewhere.get(shelf.put("by-env/x", b"1"))) == {"x": b"1"}


async def test_what_was_fetched_is_not_fetched_again(shelf: Shelf) -> None:
    told: list[str] = []
    url = shelf.put("again.tar.gz", tarred(a=b"1"))
    first = await shelf.get(url, progress=told.append)
    count = len(told)
    assert count > 0 and await shelf.get(url, progress=told.append) == first and len(told) == count
    shelf.put("again.tar.gz", tarred(a=b"2"))
    assert files(await shelf.get(url)) == {"a": b"2"}


async def test_replicas_of_one_deployment_start_together_and_fetch_once(shelf: Shelf) -> None:
    told: list[str] = []
    url = shelf.put("together.tar.gz", tarred(a=os.urandom(1_000_000)))
    folders = await asyncio.gather(*(shelf.get(url, pin="p1", progress=told.append) for _ in range(4)))
    assert len(set(folders)) == 1
    assert len([line for line in told if "fetching" in line]) == 1


async def test_a_deployment_keeps_what_it_was_made_of(shelf: Shelf) -> None:
    url = shelf.put("pinned.tar.gz", tarred(a=b"old"))
    first = await shelf.get(url, pin="made-of")
    shelf.put("pinned.tar.gz", tarred(a=b"new"))
    assert await shelf.get(url, pin="made-of") == first and files(first) == {"a": b"old"}
    assert files(await shelf.get(url, pin="another")) == {"a": b"new"}
    assert files(await shelf.get(shelf.put("more/x", b"2"), pin="made-of")) == {"x": b"2"}
    shelf.client.delete_object(Bucket=BUCKET, Key="pinned.tar.gz")
    nowhere = replace(shelf, access=replace(shelf.access, url="http://127.0.0.1:1"))
    assert await nowhere.get(url, pin="made-of") == first


async def test_a_changed_archive_is_refused_when_the_deployed_one_is_gone(shelf: Shelf) -> None:
    url = shelf.put("changed.tar.gz", tarred(a=b"old"))
    await shelf.get(url, pin="deployed")
    shutil.rmtree(shelf.places.cache)
    assert files(await shelf.get(url, pin="deployed")) == {"a": b"old"}
    shelf.put("changed.tar.gz", tarred(a=b"new"))
    shutil.rmtree(shelf.places.cache)
    said = await shelf.refusal(url, pin="deployed")
    assert "has changed since it was deployed" in said and "delete the endpoint and create it again" in said


async def test_a_server_that_is_told_to_stop_leaves_no_half(shelf: Shelf) -> None:
    url = shelf.put("long.tar.gz", tarred(a=os.urandom(30_000_000)))
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    fetching = loop.create_task(shelf.get(url, progress=lambda _: loop.call_soon_threadsafe(begun.set)))
    await begun.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    await until(lambda: not list(shelf.places.cache.rglob("long*")), within_s=10)
