"""The store keeps records, compares before it sets, tells its listeners, and says what is wrong."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from nearstream.core.endpoints import (
    Container,
    Endpoint,
    EndpointConfig,
    EndpointStatus,
    Model,
    ProductionVariant,
)
from nearstream.core.errors import Conflict, Missing, Unusable
from nearstream.fleet.database import explained
from nearstream.fleet.memory import MemoryRecords
from nearstream.fleet.records import Records
from nearstream.fleet.store import Store

MODEL = Model(
    name="falcon",
    arn="arn:aws:sagemaker:eu-west-1:123456789012:model/falcon",
    created_at=12.5,
    containers=(Container(image="tgi:2.0", environment=(("HF_MODEL_ID", "a/b"),)),),
    document='{"ModelName": "falcon"}',
)
CONFIG = EndpointConfig("falcon", "arn:config", 13.0, (ProductionVariant("AllTraffic", "falcon"),))
ENDPOINT = Endpoint(
    name="chat",
    arn="arn:endpoint",
    config="falcon",
    status=EndpointStatus.CREATING,
    created_at=1e9 + 0.1,
    modified_at=1e9 + 0.1,
    variants=CONFIG.variants,
    models=(MODEL,),
)


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(url_of(tmp_path / "state.db")) as opened:
        yield opened


@pytest.fixture(params=["database", "memory"])
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Records]:
    """What every kind of store does."""
    if request.param == "memory":
        yield MemoryRecords()
        return
    async with Store.open(url_of(tmp_path / "state.db")) as opened:
        yield opened


async def test_a_record_comes_back_as_it_was_stored(store: Records) -> None:
    for record in (MODEL, CONFIG, ENDPOINT):
        await store.create(record)
    assert await store.get(Model, "falcon") == MODEL
    assert await store.get(EndpointConfig, "falcon") == CONFIG
    assert await store.get(Endpoint, "chat") == ENDPOINT


async def test_records_outlive_the_process(tmp_path: Path) -> None:
    async with Store.open(url_of(tmp_path / "state.db")) as first:
        await first.create(ENDPOINT)
    async with Store.open(url_of(tmp_path / "state.db")) as second:
        assert await second.list(Endpoint) == [ENDPOINT]


async def test_a_name_is_taken_once_per_kind(store: Records) -> None:
    await store.create(MODEL)
    await store.create(CONFIG)
    with pytest.raises(Conflict, match='a model "falcon" already'):
        await store.create(replace(MODEL, created_at=99.0))
    assert await store.get(Model, "falcon") == MODEL


async def test_an_unknown_name_is_missing_everywhere(store: Records) -> None:
    with pytest.raises(Missing, match='no endpoint "chat"'):
        await store.get(Endpoint, "chat")
    with pytest.raises(Missing):
        await store.delete(Endpoint, "chat")
    with pytest.raises(Missing):
        await store.replace(ENDPOINT, ENDPOINT)


async def test_lists_run_from_the_oldest_then_by_name(store: Records) -> None:
    for name, created_at in (("c", 2.0), ("b", 1.0), ("a", 2.0)):
        await store.create(replace(MODEL, name=name, created_at=created_at))
    assert [model.name for model in await store.list(Model)] == ["b", "a", "c"]


async def test_replace_refuses_when_another_was_faster(store: Records) -> None:
    await store.create(ENDPOINT)
    in_service = replace(ENDPOINT, status=EndpointStatus.IN_SERVICE)
    await store.replace(ENDPOINT, in_service)
    with pytest.raises(Conflict, match="read it again"):
        await store.replace(ENDPOINT, replace(ENDPOINT, status=EndpointStatus.DELETING))
    assert await store.get(Endpoint, "chat") == in_service


async def test_of_many_that_replace_at_once_exactly_one_wins(store: Records) -> None:
    await store.create(ENDPOINT)
    outcomes = await asyncio.gather(
        *(store.replace(ENDPOINT, replace(ENDPOINT, failure_reason=str(n))) for n in range(8)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes].count(Conflict) == 7


async def test_a_record_of_an_older_release_can_be_replaced(database: Store, tmp_path: Path) -> None:
    await database.create(MODEL)
    with sqlite3.connect(tmp_path / "state.db") as file:
        file.execute("update records set document = replace(document, ?, '')", (',"hostname":null',))
    assert await database.get(Model, "falcon") == MODEL
    await database.replace(MODEL, replace(MODEL, arn="arn:new"))
    assert (await database.get(Model, "falcon")).arn == "arn:new"


async def test_tags_are_replaced_whole_and_go_with_their_record(store: Records) -> None:
    await store.create(MODEL)
    await store.set_tags(MODEL.arn, {"team": "edge", "cost": "low"})
    await store.set_tags(MODEL.arn, {"team": "voice"})
    assert await store.tags(MODEL.arn) == {"team": "voice"}
    assert await store.tags("arn:other") == {}
    await store.delete(Model, "falcon")
    assert await store.tags(MODEL.arn) == {}


async def test_many_changes_are_told_once_and_none_is_lost(store: Records) -> None:
    changes = store.changes()
    await store.create(MODEL)
    await store.delete(Model, "falcon")
    async with asyncio.timeout(5):
        await changes.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await changes.wait()
    await store.create(MODEL)
    async with asyncio.timeout(5):
        await changes.wait()


async def test_a_failed_write_tells_nothing(store: Records) -> None:
    changes = store.changes()
    with pytest.raises(Missing):
        await store.delete(Model, "falcon")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await changes.wait()


async def test_only_the_owner_can_read_the_files(database: Store, tmp_path: Path) -> None:
    await database.create(MODEL)
    modes = modes_in(tmp_path)
    assert modes.pop("state.db") == 0o600
    assert set(modes.values()) <= {0o600}


async def test_a_store_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    async with Store.open(url_of(tmp_path / "state.db")):
        pass
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("update about set schema_version = 99")
    with pytest.raises(Unusable, match=r"newer nearstream \(schema 99, this one reads 1\)"):
        async with Store.open(url_of(tmp_path / "state.db")):
            pass


async def test_a_damaged_file_is_named_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database at all, but long enough to look like one" * 100)
    with pytest.raises(Unusable, match=r"state\.db cannot be used: it is not a database"):
        async with Store.open(url_of(tmp_path / "state.db")):
            pass


async def test_a_missing_folder_is_named_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be used"):
        async with Store.open(url_of(tmp_path / "none" / "state.db")):
            pass


async def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(Unusable, match="sqlite:////"):
        async with Store.open("state.db"):
            pass


def test_a_full_disk_is_called_a_full_disk() -> None:
    said = sqlite3.OperationalError("database or disk is full")
    with pytest.raises(Unusable, match="no space left"), explained(make_url("sqlite:///x")):
        raise OperationalError("insert", {}, said)


def test_an_error_never_shows_the_password() -> None:
    with pytest.raises(Unusable) as caught, explained(make_url("postgresql://me:hunter2@db/x")):
        raise OperationalError("select", {}, Exception("server closed the connection"))
    assert "hunter2" not in str(caught.value)
    assert "server closed" in str(caught.value)


async def test_a_store_in_memory_needs_no_file() -> None:
    async with Store.open("sqlite://") as store:
        await store.create(MODEL)
        assert await store.list(Model) == [MODEL]


async def test_a_caller_that_goes_away_mid_write_leaves_the_store_usable(store: Records) -> None:
    for turns in range(40):
        writing = asyncio.ensure_future(store.create(replace(MODEL, name=f"m{turns}")))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
    async with asyncio.timeout(10):
        await store.create(ENDPOINT)
        assert await store.list(Endpoint) == [ENDPOINT]
        assert all(model.arn == MODEL.arn for model in await store.list(Model))


async def test_a_database_whose_driver_is_missing_is_named() -> None:
    with pytest.raises(Unusable, match=r"db/fleet needs the driver of postgresql\+unheard") as caught:
        async with Store.open("postgresql+unheard://me:hunter2@db/fleet"):
            pass
    assert "hunter2" not in str(caught.value)


async def test_a_disk_that_fills_up_is_told_and_the_store_works_on(tmp_path: Path) -> None:
    async with Store.open(url_of(tmp_path / "state.db")) as store:
        async with store._engine.connect() as connection:
            await connection.exec_driver_sql("PRAGMA max_page_count=16")
        with pytest.raises(Unusable, match="no space left on the disk"):
            await store.create(replace(MODEL, document="x" * 200_000))
        await store.create(CONFIG)
        assert await store.list(Model) == []
