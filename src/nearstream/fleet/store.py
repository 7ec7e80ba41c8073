"""What should run: models, configurations, endpoints and tags, in one database that outlives the process."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from nearstream.core.endpoints import Record
from nearstream.core.errors import Conflict, Unusable
from nearstream.fleet.database import explained, open_database
from nearstream.fleet.records import KINDS, Changes, R, missing
from nearstream.fleet.schema import RECORDS, TAGS


class Store:
    """Records in a database. Every method raises Unusable when the database itself fails."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._listeners: weakref.WeakSet[Changes] = weakref.WeakSet()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Store]:
        """`url` is SQLAlchemy's: `sqlite:////path/to/file`, created with mode 0600, or `postgresql://…`."""
        async with open_database(url) as engine:
            yield cls(engine)

    async def create(self, record: Record) -> None:
        """Raises Conflict if this kind has a record of that name."""
        values = {"kind": KINDS[type(record)], **_row(record)}
        try:
            async with self._writing() as connection:
                await connection.execute(insert(RECORDS).values(values))
        except Unusable as error:
            if isinstance(error.__cause__, IntegrityError):
                raise Conflict(f'There is a {values["kind"]} "{record.name}" already.') from error
            raise

    async def get(self, kind: type[R], name: str) -> R:
        """Raises Missing."""
        async with self._reading() as connection:
            return _decode(kind, name, await _document(connection, kind, name))

    async def list(self, kind: type[R]) -> list[R]:
        """All of a kind, the oldest first."""
        query = (
            select(RECORDS.c.name, RECORDS.c.document)
            .where(RECORDS.c.kind == KINDS[kind])
            .order_by(RECORDS.c.created_at, RECORDS.c.name)
        )
        async with self._reading() as connection:
            rows = (await connection.execute(query)).all()
        return [_decode(kind, name, document) for name, document in rows]

    async def replace(self, old: R, new: R) -> None:
        """Puts `new` in the place of `old`. Raises Conflict if `old` has changed, Missing if it is gone."""
        kind = type(old)
        async with self._writing() as connection:
            document = await _document(connection, kind, old.name)
            # Compared as values, not as text: an older release may have written fewer fields.
            matches = _decode(kind, old.name, document) == old
            change = (
                update(RECORDS)
                .where(RECORDS.c.kind == KINDS[kind], RECORDS.c.name == old.name)
                .where(RECORDS.c.document == document)
                .values(_row(new))
            )
            if not matches or (await connection.execute(change)).rowcount == 0:
                raise Conflict(f'The {KINDS[kind]} "{old.name}" has changed meanwhile; read it again.')

    async def delete(self, kind: type[R], name: str) -> None:
        """Takes the record's tags with it. Raises Missing."""
        named = (RECORDS.c.kind == KINDS[kind], RECORDS.c.name == name)
        async with self._writing() as connection:
            arns = select(RECORDS.c.arn).where(*named)
            await connection.execute(delete(TAGS).where(TAGS.c.arn.in_(arns)))
            if (await connection.execute(delete(RECORDS).where(*named))).rowcount == 0:
                raise missing(kind, name)

    async def tags(self, arn: str) -> dict[str, str]:
        """Empty for an ARN that has none."""
        query = select(TAGS.c.key, TAGS.c.value).where(TAGS.c.arn == arn).order_by(TAGS.c.key)
        async with self._reading() as connection:
            return {row.key: row.value for row in await connection.execute(query)}

    async def set_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """`tags` become all the tags of `arn`."""
        rows = [{"arn": arn, "key": key, "value": value} for key, value in tags.items()]
        async with self._writing() as connection:
            await connection.execute(delete(TAGS).where(TAGS.c.arn == arn))
            if rows:
                await connection.execute(insert(TAGS), rows)

    def changes(self) -> Changes:
        """A new listener; it is notified of every write until it is dropped."""
        listener = Changes()
        self._listeners.add(listener)
        return listener

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        with explained(self._engine.url):
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        with explained(self._engine.url):
            async with self._engine.begin() as connection:
                yield connection
        for listener in self._listeners:
            listener.notify()


async def _document(connection: AsyncConnection, kind: type[object], name: str) -> str:
    query = select(RECORDS.c.document).where(RECORDS.c.kind == KINDS[kind], RECORDS.c.name == name)
    document: str | None = await connection.scalar(query)
    if document is None:
        raise missing(kind, name)
    return document


def _row(record: Record) -> dict[str, str | float]:
    return {
        "name": record.name,
        "arn": record.arn,
        "created_at": record.created_at,
        "document": msgspec.json.encode(record).decode(),
    }


def _decode(kind: type[R], name: str, document: str) -> R:
    try:
        return msgspec.json.decode(document, type=kind)
    except msgspec.DecodeError as error:
        raise Unusable(f'The stored {KINDS[kind]} "{name}" cannot be read: {error}.') from error
