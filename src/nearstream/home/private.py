"""Files and folders that only their owner may read."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import structlog

from nearstream.core.errors import Unusable

_log = structlog.get_logger()


def write_private(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all. Raises Unusable.

    `durable` waits until the disk has it; False for what means nothing once the machine has stopped.
    """
    half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        remove(half)
        raise Unusable(f"{path} cannot be written: {_meaning(error)}.") from error


def create_private(path: Path) -> None:
    """Make an empty file unless it is there, and let nobody else read it. Raises OSError."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def make_private(folder: Path) -> None:
    """Make a folder that only this user may enter. Raises Unusable, also for another user's, or a link."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
            raise Unusable(f"{folder} belongs to another user: remove it, or choose another home.")
        folder.chmod(0o700)
    except OSError as error:
        raise Unusable(f"The folder {folder} cannot be made: {_meaning(error)}.") from error


def remove(path: Path) -> None:
    """Remove a file if it is there; one that cannot be removed is logged and left."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("a file cannot be removed", path=str(path), error=str(error))


def _meaning(error: OSError) -> str:
    return "no space is left on the device" if error.errno == errno.ENOSPC else str(error.strerror)
