"""The index of an object store: one SQLite file that knows each key's file, ETag and headers, in S3's order.

The standard library's sqlite3, not the site's database: it belongs to the folder of objects, goes where that
goes, and its calls run in the threads that the files' calls run in. Callers hold a lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from nearstream.core.errors import Unusable
from nearstream.deploy.objectstore.records import Bucket, Facts, Part, Row, Upload

VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE buckets (name TEXT PRIMARY KEY, created REAL NOT NULL, region TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (
    bucket TEXT NOT NULL, key BLOB NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, etag TEXT NOT NULL, facts BLOB NOT NULL, PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX held ON objects (name) WHERE name != '';
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, created REAL NOT NULL, facts BLOB NOT NULL,
    algorithm TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified REAL NOT NULL, checksums BLOB NOT NULL, PRIMARY KEY (upload, number)
) WITHOUT ROWID;
"""
_ROW: Final = "SELECT bucket, key, name, size, mtime_ns, etag, facts FROM objects"
_UPLOAD: Final = "SELECT id, bucket, key, created, facts, algorithm FROM uploads"


class Index:
    """Raises Unusable where its file cannot be opened or is not an index of this version."""

    def __init__(self, path: Path) -> None:
        try:
            # Its statements are its transactions, except between BEGIN and COMMIT.
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            (found,) = self._database.execute("PRAGMA user_version").fetchone()
            if found == 0:
                with self.transaction():
                    for statement in _SCHEMA.split(";"):
                        self._database.execute(statement)
                    self._database.execute(f"PRAGMA user_version = {VERSION}")
        except (sqlite3.Error, OSError) as error:
            raise Unusable(f"The index of objects {path} cannot be opened: {error}.") from error
        if found > VERSION:
            raise Unusable(f"The index of objects {path} was made by a newer nearstream: version {found}.")

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within is written at once, or not at all."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def buckets(self) -> list[Bucket]:
        rows = self._database.execute("SELECT name, created, region FROM buckets ORDER BY name")
        return [Bucket(*row) for row in rows]

    def bucket(self, name: str) -> Bucket | None:
        row = self._one("SELECT name, created, region FROM buckets WHERE name = ?", name)
        return None if row is None else Bucket(*row)

    def add_bucket(self, bucket: Bucket) -> None:
        values = (bucket.name, bucket.created_s, bucket.region)
        self._database.execute("INSERT OR IGNORE INTO buckets VALUES (?, ?, ?)", values)

    def remove_bucket(self, name: str) -> None:
        self._database.execute("DELETE FROM buckets WHERE name = ?", (name,))

    def has_objects(self, bucket: str) -> bool:
        return self._one("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", bucket) is not None

    def get(self, bucket: str, key: str) -> Row | None:
        row = self._one(f"{_ROW} WHERE bucket = ? AND key = ?", bucket, _blob(key))
        return None if row is None else _row(row)

    def put(self, row: Row) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                row.bucket,
                _blob(row.key),
                row.name,
                row.size,
                row.mtime_ns,
                row.etag,
                msgspec.json.encode(row.facts),
            ),
        )

    def remove(self, bucket: str, key: str) -> None:
        self._database.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, _blob(key)))

    def range(self, bucket: str, first: bytes, before: bytes | None) -> Iterator[Row]:
        """The objects whose keys are at least `first` and less than `before`, in the order of their bytes."""
        end, values = ("", (bucket, first)) if before is None else ("AND key < ?", (bucket, first, before))
        for row in self._database.execute(f"{_ROW} WHERE bucket = ? AND key >= ? {end} ORDER BY key", values):
            yield _row(row)

    def is_held(self, name: str) -> bool:
        return self._one("SELECT 1 FROM objects WHERE name = ?", name) is not None

    def uploads(self, bucket: str) -> list[Upload]:
        rows = self._database.execute(f"{_UPLOAD} WHERE bucket = ? ORDER BY key, id", (bucket,))
        return [_upload(row) for row in rows]

    def count_uploads(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM uploads").fetchone()[0])

    def older_uploads(self, before_s: float) -> list[Upload]:
        return [_upload(row) for row in self._database.execute(f"{_UPLOAD} WHERE created < ?", (before_s,))]

    def upload(self, id_: str) -> Upload | None:
        row = self._one(f"{_UPLOAD} WHERE id = ?", id_)
        return None if row is None else _upload(row)

    def add_upload(self, upload: Upload) -> None:
        self._database.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?)",
            (
                upload.id,
                upload.bucket,
                _blob(upload.key),
                upload.created_s,
                msgspec.json.encode(upload.facts),
                upload.algorithm,
            ),
        )

    def remove_upload(self, id_: str) -> None:
        with self.transaction():
            self._database.execute("DELETE FROM uploads WHERE id = ?", (id_,))
            self._database.execute("DELETE FROM parts WHERE upload = ?", (id_,))

    def put_part(self, upload: str, part: Part) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)",
            (upload, part.number, part.size, part.etag, part.modified_s, msgspec.json.encode(part.checksums)),
        )

    def parts(self, upload: str, after: int = 0) -> list[Part]:
        rows = self._database.execute(
            "SELECT number, size, etag, modified, checksums FROM parts WHERE upload = ? AND number > ?"
            " ORDER BY number",
            (upload, after),
        )
        return [
            Part(number, size, etag, modified_s, msgspec.json.decode(checksums, type=dict[str, str]))
            for number, size, etag, modified_s, checksums in rows
        ]

    def _one(self, statement: str, *values: str | bytes) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._database.execute(statement, values).fetchone()
        return found


def _blob(key: str) -> bytes:
    """Blobs compare byte by byte, which is S3's order; TEXT would end at a NUL in some tools."""
    return key.encode()


def _row(row: tuple[Any, ...]) -> Row:
    bucket, key, name, size, mtime_ns, etag, facts = row
    return Row(bucket, key.decode(), name, size, mtime_ns, etag, msgspec.json.decode(facts, type=Facts))


def _upload(row: tuple[Any, ...]) -> Upload:
    id_, bucket, key, created, facts, algorithm = row
    return Upload(id_, bucket, key.decode(), created, msgspec.json.decode(facts, type=Facts), algorithm)
