"""Records in this process, which are gone with it: for sites that live as long as a test."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import cast

from nearstream.core.endpoints import Record
from nearstream.core.errors import Conflict
from nearstream.fleet.records import KINDS, Changes, R, missing


class MemoryRecords:
    """Records by kind and name, in memory."""

    def __init__(self) -> None:
        self._records: dict[tuple[type[object], str], Record] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._listeners: weakref.WeakSet[Changes] = weakref.WeakSet()

    async def create(self, record: Record) -> None:
        """See Records."""
        key = type(record), record.name
        if key in self._records:
            raise Conflict(f'There is a {KINDS[type(record)]} "{record.name}" already.')
        self._records[key] = record
        self._tell()

    async def get(self, kind: type[R], name: str) -> R:
        """See Records."""
        record = self._records.get((kind, name))
        if record is None:
            raise missing(kind, name)
        return cast("R", record)

    async def list(self, kind: type[R]) -> list[R]:
        """See Records."""
        found = [record for record in self._records.values() if isinstance(record, kind)]
        return sorted(found, key=lambda record: (record.created_at, record.name))

    async def replace(self, old: R, new: R) -> None:
        """See Records."""
        if await self.get(type(old), old.name) != old:
            raise Conflict(f'The {KINDS[type(old)]} "{old.name}" has changed meanwhile; read it again.')
        self._records[type(old), old.name] = new
        self._tell()

    async def delete(self, kind: type[R], name: str) -> None:
        """See Records."""
        record = await self.get(kind, name)
        self._tags.pop(record.arn, None)
        del self._records[kind, name]
        self._tell()

    async def tags(self, arn: str) -> dict[str, str]:
        """See Records."""
        return dict(sorted(self._tags.get(arn, {}).items()))

    async def set_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """See Records."""
        self._tags[arn] = dict(tags)
        self._tell()

    def changes(self) -> Changes:
        """See Records."""
        listener = Changes()
        self._listeners.add(listener)
        return listener

    def _tell(self) -> None:
        for listener in self._listeners:
            listener.notify()
