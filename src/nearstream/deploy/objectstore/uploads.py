"""Uploads in parts: the parts wait in a folder of their upload until it is completed or aborted."""

from __future__ import annotations

import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from nearstream.core.errors import ServiceError
from nearstream.deploy.objectstore.files import Draft
from nearstream.deploy.objectstore.records import (
    Condition,
    Facts,
    Part,
    PartNamed,
    Row,
    Upload,
)
from nearstream.deploy.objectstore.store import ObjectStore

SMALLEST_PART_BYTES: Final = 5 * 1024 * 1024
MOST_UPLOADS: Final = 10_000
_REMEMBERED: Final = 1000

Checksums = Callable[[Upload, Sequence[Part]], Mapping[str, str]]
"""The checksums of a whole object from those of its parts. Raises for one that is not as it was announced."""


class Uploads:
    """The uploads in progress of one store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._completing: set[str] = set()
        self._completed: OrderedDict[str, tuple[Upload, str]] = OrderedDict()

    def begin(self, bucket: str, key: str, facts: Facts, algorithm: str) -> Upload:
        """Raises NoSuchBucket, SlowDown."""
        upload = Upload(uuid.uuid4().hex, bucket, key, self._store.clock(), facts, algorithm)
        with self._store.lock:
            self._store.bucket(bucket)
            if self._store.index.count_uploads() >= MOST_UPLOADS:
                raise ServiceError(
                    "SlowDown", f"{MOST_UPLOADS} uploads are unfinished: complete or abort some."
                )
            (self._store.files.uploads / upload.id).mkdir(mode=0o700)
            self._store.index.add_upload(upload)
        return upload

    def find(self, target: tuple[str, str], id_: str) -> Upload:
        """Raises NoSuchBucket, NoSuchUpload."""
        with self._store.lock:
            self._store.bucket(target[0])
            found = self._store.index.upload(id_)
        if found is None or (found.bucket, found.key) != target:
            raise ServiceError(
                "NoSuchUpload",
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have"
                " been aborted or completed.",
            )
        return found

    def put_part(self, upload: Upload, number: int, draft: Draft, part: Part) -> Part:
        """Keep a draft as a part, in place of one of that number. Raises NoSuchUpload, OperationAborted."""
        status = draft.status()  # not brought to the disk: see recovery
        with self._store.lock:
            self.find((upload.bucket, upload.key), upload.id)
            self._check_free(upload.id)
            draft.move(self._store.files.uploads / upload.id / str(number))
            part = replace(part, size=status.st_size, modified_s=status.st_mtime)
            self._store.index.put_part(upload.id, part)
        return part

    def parts(self, upload: Upload, after: int = 0) -> list[Part]:
        with self._store.lock:
            return self._store.index.parts(upload.id, after)

    def list(self, bucket: str) -> list[Upload]:
        """In the order of keys, then of ids. Raises NoSuchBucket."""
        with self._store.lock:
            self._store.bucket(bucket)
            return self._store.index.uploads(bucket)

    def abort(self, upload: Upload) -> None:
        """Raises OperationAborted."""
        with self._store.lock:
            self._check_free(upload.id)
            self._store.index.remove_upload(upload.id)
            self._store.files.remove_upload(upload.id)

    def completed(self, target: tuple[str, str], id_: str) -> str | None:
        """The ETag that an upload was completed with; a client that lost the answer asks again."""
        upload, etag = self._completed.get(id_, (None, ""))
        return etag if upload is not None and (upload.bucket, upload.key) == target else None

    def complete(
        self, upload: Upload, named: Sequence[PartNamed], checksums: Checksums, condition: Condition
    ) -> Row:
        """Make an object of the parts that are named. Raises ServiceError by S3's codes, OSError."""
        with self._store.lock:
            self.find((upload.bucket, upload.key), upload.id)
            self._check_free(upload.id)
            parts = _chosen(named, self._store.index.parts(upload.id))
            facts = replace(upload.facts, checksums=checksums(upload, parts))
            self._completing.add(upload.id)
        try:
            row = self._assembled(upload, parts, facts, condition)
        except BaseException:
            with self._store.lock:
                self._completing.discard(upload.id)
            raise
        with self._store.lock:
            self._completing.discard(upload.id)
            self._store.index.remove_upload(upload.id)
            self._completed[upload.id] = (upload, row.etag)
            while len(self._completed) > _REMEMBERED:
                self._completed.popitem(last=False)
        self._store.files.remove_upload(upload.id)
        return row

    def _assembled(self, upload: Upload, parts: Sequence[Part], facts: Facts, condition: Condition) -> Row:
        draft = self._store.files.draft()
        try:
            for part in parts:
                self._store.check_open()
                draft.append(self._store.files.uploads / upload.id / str(part.number))
            target = (upload.bucket, upload.key)
            return self._store.put(target, draft, etag=_etag(parts), facts=facts, condition=condition)
        finally:
            draft.discard()

    def _check_free(self, id_: str) -> None:
        if id_ in self._completing:
            raise ServiceError("OperationAborted", "The upload is just being completed.")


def _chosen(named: Sequence[PartNamed], parts: Sequence[Part]) -> list[Part]:
    known = {part.number: part for part in parts}
    numbers = [each.number for each in named]
    if not named:
        raise ServiceError("MalformedXML", "You must specify at least one part")
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise ServiceError(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. The parts list must be specified in order by part"
            " number.",
        )
    chosen = []
    for each in named:
        part = known.get(each.number)
        if part is None or part.etag != each.etag or not each.checksums.items() <= part.checksums.items():
            raise ServiceError(
                "InvalidPart",
                "One or more of the specified parts could not be found. The part may not have been uploaded,"
                f" or the specified entity tag may not match the part's entity tag: part {each.number}.",
            )
        chosen.append(part)
    if any(part.size < SMALLEST_PART_BYTES for part in chosen[:-1]):
        raise ServiceError(
            "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size: 5 MiB a part"
        )
    return chosen


def _etag(parts: Sequence[Part]) -> str:
    joined = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"
