"""The site's own object store: buckets and objects as files in a folder, with an index beside them.

An object is written aside, brought to the disk, moved to its place in one step and then entered into the
index, so that a crash leaves the old one or the new one, never half of one. What the index does not know
(files of an earlier version, or copied into a bucket's folder by hand) is entered when it is found.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar

from nearstream.core.errors import ServiceError
from nearstream.core.ports import Clock
from nearstream.deploy.objectstore import listing, recovery
from nearstream.deploy.objectstore.files import Draft, Files, file_status, open_file
from nearstream.deploy.objectstore.index import Index
from nearstream.deploy.objectstore.records import (
    Bucket,
    Condition,
    Facts,
    Listing,
    Page,
    Row,
)

THREADS: Final = 8
# How long a call waits for the ETag of a file that came by another way.
READING_WAIT_S: Final = 20.0
_BLOCK_BYTES: Final = 1024 * 1024

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Opened:
    """An object that is open for reading: the file stays as it is, whatever is put in its place."""

    row: Row
    descriptor: int


class ObjectStore:
    """Usable while its context lasts. Its calls block: `run` makes them in threads of its own.

    What S3 has a code for is raised as ServiceError with that code.
    """

    def __init__(self, data: Path, *, clock: Clock) -> None:
        self.data = data
        self.clock = clock
        self.lock = threading.RLock()
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="objects")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="etags")
        self._reading: dict[tuple[str, str], Future[None]] = {}
        self._closing = threading.Event()

    async def __aenter__(self) -> Self:
        """Raises Unusable when the folder or the index cannot be used."""
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._closing.set()
        await asyncio.to_thread(self._close)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work on the store in one of its threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))

    def later(self, work: Callable[[], None]) -> None:
        """Have blocking work done whose end nobody waits for."""
        if not self._closing.is_set():
            self._executor.submit(work)

    def _open(self) -> None:
        self.files = Files(self.data)
        self.index = Index(self.files.own / "index.db")
        recovery.remove_left(self.files, self.index, now_s=self.clock())
        recovery.adopt(self.files, self.index)

    def _close(self) -> None:
        self._readers.shutdown(cancel_futures=True)
        self._executor.shutdown(cancel_futures=True)
        self.index.close()

    def check_open(self) -> None:
        """Raises OSError in the middle of long work when the site is being stopped."""
        if self._closing.is_set():
            raise OSError(errno.ECANCELED, "the site is being stopped")

    def free_bytes(self) -> int:
        """How much the disk still takes."""
        return shutil.disk_usage(self.data).free

    # Buckets

    def buckets(self) -> list[Bucket]:
        with self.lock:
            return self.index.buckets()

    def bucket(self, name: str) -> Bucket:
        """Raises NoSuchBucket."""
        with self.lock:
            found = self.index.bucket(name)
        if found is None:
            raise ServiceError("NoSuchBucket", f"The specified bucket does not exist: {name}")
        return found

    def make_bucket(self, name: str, region: str) -> None:
        """Raises BucketAlreadyOwnedByYou."""
        with self.lock:
            if self.index.bucket(name) is not None:
                raise ServiceError(
                    "BucketAlreadyOwnedByYou",
                    "Your previous request to create the named bucket succeeded and you already own it.",
                )
            (self.data / name).mkdir(mode=0o700, exist_ok=True)
            self.index.add_bucket(Bucket(name, self.clock(), region))

    def remove_bucket(self, name: str) -> None:
        """Remove an empty bucket with its unfinished uploads. Raises NoSuchBucket, BucketNotEmpty."""
        with self.lock:
            self.bucket(name)
            if self.index.has_objects(name) or not self.files.remove_bucket(name):
                raise ServiceError("BucketNotEmpty", "The bucket you tried to delete is not empty")
            for upload in self.index.uploads(name):
                self.index.remove_upload(upload.id)
                self.files.remove_upload(upload.id)
            self.index.remove_bucket(name)

    # Objects

    def find(self, bucket: str, key: str) -> Row:
        """Raises NoSuchBucket, NoSuchKey."""
        with self.lock:
            self.bucket(bucket)
            row = self.current(bucket, key)
        return self._read(_known(row))

    def open(self, bucket: str, key: str) -> Opened:
        """Raises NoSuchBucket, NoSuchKey. Who calls closes the descriptor."""
        while True:
            row = self.find(bucket, key)
            with self.lock:
                if self.current(bucket, key) == row:
                    return Opened(row, open_file(self.files.path(bucket, key, row.name)))

    def put(
        self,
        target: tuple[str, str],
        draft: Draft,
        *,
        etag: str,
        facts: Facts,
        condition: Condition = Condition(),  # noqa: B008  # frozen
    ) -> Row:
        """Put a draft in its place. Raises NoSuchBucket, PreconditionFailed, NoSuchKey, OSError."""
        bucket, key = target
        status = draft.seal()
        if condition.etag is not None:
            self.find(bucket, key)  # outside the lock: its ETag may have to be read
        with self.lock:
            self.bucket(bucket)
            before = self.current(bucket, key)
            self._check(before, condition)
            name = self.files.place(draft, bucket, key, None if before is None else before.name)
            row = Row(bucket, key, name, status.st_size, status.st_mtime_ns, etag, facts)
            self.index.put(row)
            return row

    def remove(self, bucket: str, keys: Sequence[str], condition: Condition | None = None) -> None:
        """Remove objects; those that are not there are removed already. A condition is of the first one.

        Raises NoSuchBucket, PreconditionFailed, NoSuchKey for a condition's ETag.
        """
        if condition is not None:
            self.find(bucket, keys[0])
        with self.lock:
            self.bucket(bucket)
            with self.index.transaction():
                for key in keys:
                    row = self.current(bucket, key)
                    if condition is not None:
                        self._check(row, condition)
                    if row is not None:
                        self.files.remove(bucket, key, row.name)
                        self.index.remove(bucket, key)

    def list(self, bucket: str, wanted: Listing) -> Page:
        """Raises NoSuchBucket."""
        with self.lock:
            self.bucket(bucket)
            page = listing.page(lambda first, before: self.index.range(bucket, first, before), wanted)
            rows = [row for row in (self._refreshed(row) for row in page.rows) if row is not None]
        for row in rows:
            if not row.etag:
                self._start_reading(row)
        return replace(page, rows=[self._read(row) for row in rows])

    def current(self, bucket: str, key: str) -> Row | None:
        """What the index and the disk know of an object; the caller holds the lock."""
        row = self.index.get(bucket, key)
        if row is not None:
            return self._refreshed(row)
        status = self.files.foreign(bucket, key)
        return None if status is None else self._enter(bucket, key, status)

    def _refreshed(self, row: Row) -> Row | None:
        """A row as its file is now: one that was changed by hand is an object of its own."""
        status = file_status(self.files.path(row.bucket, row.key, row.name))
        if status is None:
            self.index.remove(row.bucket, row.key)
            return None
        if (status.st_size, status.st_mtime_ns) == (row.size, row.mtime_ns):
            return row
        return self._enter(row.bucket, row.key, status, row.name)

    def _enter(self, bucket: str, key: str, status: os.stat_result, name: str = "") -> Row:
        row = Row(bucket, key, name, status.st_size, status.st_mtime_ns, "")
        self.index.put(row)
        return row

    def _check(self, row: Row | None, condition: Condition) -> None:
        if condition.is_absent and row is not None:
            raise ServiceError(
                "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
            )
        if condition.etag is not None and condition.etag not in ("*", _known(row).etag):
            raise ServiceError(
                "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
            )

    # ETags of files that came by another way

    def _read(self, row: Row) -> Row:
        """The row with its ETag. Raises SlowDown when that takes longer than a caller would wait."""
        if row.etag:
            return row
        try:
            self._start_reading(row).result(READING_WAIT_S)
        except TimeoutError:
            raise ServiceError(
                "SlowDown", f"{row.key} is being read for its ETag; try again in a moment."
            ) from None
        with self.lock:
            read = self.current(row.bucket, row.key)
        return self._read(_known(read))

    def _start_reading(self, row: Row) -> Future[None]:
        with self.lock:
            id_ = (row.bucket, row.key)
            if id_ not in self._reading:
                self._reading[id_] = self._readers.submit(self._hash, row)
            return self._reading[id_]

    def _hash(self, row: Row) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        try:
            with os.fdopen(open_file(self.files.path(row.bucket, row.key, row.name)), "rb") as file:
                while data := file.read(_BLOCK_BYTES):
                    digest.update(data)
                    if self._closing.is_set():
                        return
        except FileNotFoundError:
            pass  # the caller that waits finds that the object is gone
        finally:
            with self.lock:
                del self._reading[row.bucket, row.key]
                if not self._closing.is_set() and self.current(row.bucket, row.key) == row:
                    self.index.put(replace(row, etag=digest.hexdigest()))


def _known(row: Row | None) -> Row:
    if row is None:
        raise ServiceError("NoSuchKey", "The specified key does not exist.")
    return row
