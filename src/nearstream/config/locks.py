"""Locks that other processes respect, held for a block of code."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from nearstream.core.errors import Unusable

_POLL_S = 0.1


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Hold the lock file at `path`, waiting for whoever has it. Raises Unusable where it cannot be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise Unusable(f"{path.parent} cannot be used: {error.strerror}.") from error
    with file:
        while not _lock(file):  # noqa: ASYNC110 - the lock is another process's, no event tells of it
            await asyncio.sleep(_POLL_S)
        yield


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
