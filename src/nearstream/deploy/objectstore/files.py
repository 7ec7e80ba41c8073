"""The files of an object store: where a key's bytes lie, and how they come there whole or not at all.

A key that is a path of plain names lies under that path, where a person finds it. Any other key, and one
whose path is taken (`m` beside `m/n`; names that this disk takes for the same), lies under a random name.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

from nearstream.core.errors import Unusable
from nearstream.home.private import make_private

OWN: Final = ".nearstream"
LONGEST_NAME_BYTES: Final = 255
_COPIED_BYTES: Final = 64 * 1024 * 1024
_NO_PLACE: Final = frozenset(
    {
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENOTEMPTY,
        errno.EINVAL,
        errno.EILSEQ,
    }
)
"""The errors of a path that a file system cannot have, or has as something else."""

_NO_FILE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})
"""The errors of a path at which nothing is."""


class Draft:
    """A file that is being written aside, by one thread at a time; then moved to its place, or discarded."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / uuid.uuid4().hex
        self._lock = threading.Lock()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._is_open = True

    def write(self, data: bytes) -> None:
        """Raises OSError, also when it was discarded meanwhile."""
        with self._lock:
            self._check()
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]

    def append(self, path: Path) -> None:
        """Add a whole file."""
        with self._lock, path.open("rb") as source:
            self._check()
            left = os.fstat(source.fileno()).st_size
            while left:
                copied = self._copy(source.fileno(), left)
                if not copied:
                    raise OSError(errno.EIO, f"{path.name} became shorter")
                left -= copied

    def _copy(self, source: int, left_bytes: int) -> int:
        if hasattr(os, "copy_file_range"):
            with suppress(OSError):  # not between these file systems
                return os.copy_file_range(source, self._descriptor, min(left_bytes, _COPIED_BYTES))
        data = os.read(source, 1024 * 1024)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        return len(data)

    def seal(self) -> os.stat_result:
        """Bring all of it to the disk; how large it is and since when."""
        with self._lock:
            self._check()
            os.fsync(self._descriptor)
            return os.fstat(self._descriptor)

    def status(self) -> os.stat_result:
        """How large it is and since when."""
        with self._lock:
            self._check()
            return os.fstat(self._descriptor)

    def move(self, target: Path) -> None:
        """Put it in its place, in one step. Raises OSError."""
        with self._lock:
            self._check()
            self.path.rename(target)
            self._close()

    def discard(self) -> None:
        """Remove it; nothing happens when it is in its place already."""
        with self._lock:
            if self._is_open:
                self._close()
                with suppress(OSError):
                    self.path.unlink(missing_ok=True)

    def _check(self) -> None:
        if not self._is_open:
            raise OSError(errno.ECANCELED, "the upload was given up")

    def _close(self) -> None:
        self._is_open = False
        os.close(self._descriptor)


class Files:
    """The folder of an object store: one folder a bucket, and one of its own beside them."""

    def __init__(self, data: Path) -> None:
        """Raises Unusable."""
        self.data = data
        self.own = data / OWN
        self.held = self.own / "held"
        self.drafts = self.own / "drafts"
        self.uploads = self.own / "uploads"
        try:
            for folder in (data, self.own, self.held, self.drafts, self.uploads):
                make_private(folder)
            for left in self.drafts.iterdir():
                left.unlink()
            self._folds = self._probe()
        except OSError as error:
            raise Unusable(f"The folder of objects {data} cannot be used: {error}.") from error

    def _probe(self) -> bool:
        """Whether this disk takes `A` and `a` for the same name."""
        probe = self.own / "Probe"
        probe.touch(mode=0o600)
        try:
            return os.path.lexists(self.own / "pROBE")
        finally:
            probe.unlink()

    def draft(self) -> Draft:
        """Raises OSError."""
        return Draft(self.drafts)

    def path(self, bucket: str, key: str, name: str) -> Path:
        """Where an object's bytes lie."""
        return self.held / name if name else self.data / bucket / key

    def plain(self, bucket: str, key: str) -> Path | None:
        """The path of a key that may be one."""
        parts = key.split("/")
        plain = "\0" not in key and all(
            part not in ("", ".", "..") and len(part.encode()) <= LONGEST_NAME_BYTES for part in parts
        )
        return self.data / bucket / key if plain else None

    def foreign(self, bucket: str, key: str) -> os.stat_result | None:
        """The file at a key's path that the index does not know, if there is one."""
        path = self.plain(bucket, key)
        if path is None or self._folds:
            return None
        return file_status(path)

    def place(self, draft: Draft, bucket: str, key: str, name: str | None) -> str:
        """Put a draft where the object of `name` lies, or at a new place; its name. Raises OSError."""
        plain = self.plain(bucket, key)
        if not name and plain is not None and (name is not None or not os.path.lexists(plain)):
            try:
                self._make_folders(plain.parent)
                draft.move(plain)
            except OSError as error:
                if error.errno not in _NO_PLACE:
                    raise
                self._prune(bucket, plain.parent)
            else:
                sync_folder(plain.parent)
                return ""
        name = name or uuid.uuid4().hex
        draft.move(self.held / name)
        sync_folder(self.held)
        return name

    def remove(self, bucket: str, key: str, name: str) -> None:
        """Remove an object's file, and folders that it leaves empty. Raises OSError."""
        path = self.path(bucket, key, name)
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
            sync_folder(path.parent)
        if not name:
            self._prune(bucket, path.parent)

    def remove_bucket(self, bucket: str) -> bool:
        """Remove a bucket's empty folders; False: there are files that the index does not know."""
        top = self.data / bucket
        for folder, _, files in os.walk(top, topdown=False):
            if files:
                return False
            with suppress(OSError):
                Path(folder).rmdir()
        return not os.path.lexists(top)

    def remove_upload(self, id_: str) -> None:
        """Remove the parts of an upload."""
        shutil.rmtree(self.uploads / id_, ignore_errors=True)

    def _make_folders(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folders(folder.parent)
        folder.mkdir(mode=0o700)
        sync_folder(folder.parent)

    def _prune(self, bucket: str, folder: Path) -> None:
        top = self.data / bucket
        while folder != top and top in folder.parents:
            try:
                folder.rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    return
            folder = folder.parent


def file_status(path: Path) -> os.stat_result | None:
    """The status of a file that is no link and no folder; None: there is none.

    Raises OSError where the disk fails, which does not mean that the object is gone.
    """
    try:
        status = path.lstat()
    except ValueError:
        return None
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    return status if _is_file(status) else None


def open_file(path: Path) -> int:
    """A descriptor to read from; links are not followed. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)
