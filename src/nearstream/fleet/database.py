"""Opens the store's database: its file, settings and schema, and a sentence for what is wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import URL, event, insert, make_url, select
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from nearstream.core.errors import Unusable
from nearstream.fleet.schema import ABOUT, METADATA, VERSION
from nearstream.home.private import create_private

BUSY_TIMEOUT_S = 5.0

_ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}

_SQLITE_SETTINGS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}",
)

# Texts of drivers' errors, in lower case, and what they mean to the operator.
_MEANINGS = (
    ("disk is full", "no space left on the disk that holds it; free some and try again"),
    ("no space left", "no space left on the disk that holds it; free some and try again"),
    ("not a database", "it is not a database, or it is damaged; restore a backup or move it away"),
    ("malformed", "it is damaged; restore a backup or move it away"),
    ("readonly", "it cannot be written; check its owner and mode"),
    ("unable to open", "it cannot be opened; check that its folder exists and is yours"),
    ("locked", "another process holds it; is nearstream running twice on this home?"),
)


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on `url` with the schema in place; raises Unusable, and never shows the URL's password."""
    parsed = _parse(url)
    with explained(parsed):
        _make_private(parsed)
        engine = _engine(parsed)
    try:
        with explained(parsed):
            async with engine.begin() as connection:
                await _prepare(connection, parsed)
        yield engine
    finally:
        await engine.dispose()


@contextmanager
def explained(url: URL) -> Iterator[None]:
    """Turns a driver's error into Unusable with a sentence on what to do."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        message = str(getattr(error, "orig", None) or error)
        meaning = next((text for sign, text in _MEANINGS if sign in message.lower()), message)
        raise Unusable(f"The store {_shown(url)} cannot be used: {meaning}.") from error


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Unusable(
            "The store's URL is not one; write for example sqlite:////home/me/state.db."
        ) from error
    return parsed.set(drivername=_ASYNC_DRIVERS.get(parsed.drivername, parsed.drivername))


def _engine(url: URL) -> AsyncEngine:
    if not _is_sqlite(url):
        try:
            return create_async_engine(url, pool_pre_ping=True)
        except (ImportError, NoSuchModuleError) as error:
            raise Unusable(
                f"The store {_shown(url)} needs the driver of {url.drivername} installed."
            ) from error
    # One connection: SQLite has one writer, and reads are few because requests are served from a snapshot.
    engine = create_async_engine(url, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0)
    event.listen(engine.sync_engine, "connect", _apply_settings)
    return engine


def _apply_settings(connection: sqlite3.Connection, _entry: object) -> None:
    cursor = connection.cursor()
    for setting in _SQLITE_SETTINGS:
        cursor.execute(setting)
    cursor.close()


async def _prepare(connection: AsyncConnection, url: URL) -> None:
    """Looks at the version first, so that an older nearstream cannot harm a newer one's store."""
    await connection.run_sync(lambda sync: METADATA.create_all(sync, tables=[ABOUT]))
    found = await connection.scalar(select(ABOUT.c.schema_version))
    if found is not None and found > VERSION:
        raise Unusable(
            f"The store {_shown(url)} was written by a newer nearstream (schema {found}, this one reads "
            f"{VERSION}): upgrade nearstream, or choose another home."
        )
    await connection.run_sync(METADATA.create_all)
    if found is None:
        await connection.execute(insert(ABOUT).values(id=1, schema_version=VERSION))


def _make_private(url: URL) -> None:
    """Creates the file before SQLite does, never readable by others; the WAL files take its mode."""
    if not _is_sqlite(url) or url.database in {None, "", ":memory:"}:
        return
    create_private(Path(str(url.database)))


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _shown(url: URL) -> str:
    return str(url.database) if _is_sqlite(url) else url.render_as_string(hide_password=True)
