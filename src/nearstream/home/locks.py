"""Locks that other processes respect, held for a block of code."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from nearstream.core.errors import Conflict, Unusable

_POLL_S = 0.1
_TRIES = 5
_RETRY_S = 0.02


@dataclass(frozen=True, slots=True)
class Running:
    """The front door that holds a home: its process id and the address clients use."""

    pid: int
    url: str


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Hold the lock file at `path`, waiting for whoever has it. Raises Unusable where it cannot be made."""
    with _lock_file(path) as file:
        while not _lock(file):  # noqa: ASYNC110 - the lock is another process's, no event tells of it
            await asyncio.sleep(_POLL_S)
        yield


@contextmanager
def locked_by_thread(path: Path, *, check: Callable[[], None] = lambda: None) -> Iterator[None]:
    """The same for a thread; `check` is called while it waits, and raises to give up."""
    with _lock_file(path) as file:
        while not _lock(file):
            check()
            time.sleep(_POLL_S)
        yield


def _lock_file(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w")
    except OSError as error:
        raise Unusable(f"{path.parent} cannot be used: {error.strerror}.") from error


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def held_by_this(file: Path, url: str) -> Iterator[None]:
    """Hold a home for this process; the lock falls with it, however it ends. Raises Conflict."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(descriptor):
            other = holder(file)
            who = f"process {other.pid}, {other.url}" if other else "another process"
            raise Conflict(
                f"nearstream is already running on {file.parent} ({who}). "
                f"Stop it with `nearstream down --home {file.parent}`, or give this one its own --home."
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(Running(pid=os.getpid(), url=url)), 0)
        yield
    finally:
        os.close(descriptor)


def holder(file: Path) -> Running | None:
    """The front door that holds a home now, or None."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        try:
            return msgspec.json.decode(os.pread(descriptor, 4096, 0), type=Running)
        except msgspec.MsgspecError:
            return None
    finally:
        os.close(descriptor)
    return None


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours now; one that `holder` only looks at is free again in a moment."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(_RETRY_S)
        else:
            return True
    return False
