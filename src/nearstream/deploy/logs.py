"""The logs of this home's replicas, which stay when the replicas are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from nearstream.core.ports import ReplicaLog

READ_BYTES = 1024 * 1024


class LocalLogs:
    """A ReplicaLogs: files under `folder`, one a replica, as `deploy.runs` lays them out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def logs(self, endpoint: str) -> Sequence[ReplicaLog]:
        """See ReplicaLogs."""
        return await asyncio.to_thread(self._logs, endpoint)

    async def read(self, log: ReplicaLog, *, start: int) -> bytes:
        """See ReplicaLogs."""
        return await asyncio.to_thread(_read, self._folder / log.name, start)

    def _logs(self, endpoint: str) -> list[ReplicaLog]:
        found = []
        for path in (self._folder / endpoint).rglob("*.log"):
            try:
                status = path.stat()
            except OSError:
                continue  # it made room for a newer one
            log = ReplicaLog(str(path.relative_to(self._folder)), path.stem, status.st_size, status.st_mtime)
            found.append((status.st_mtime, log))
        return [log for _, log in sorted(found, key=lambda one: one[0])]


def _read(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(READ_BYTES)
    except OSError:
        return b""
