"""An object store at its start: it removes what a crash left, and enters files that are new to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import psutil
import structlog

from nearstream.deploy.objectstore.files import OWN, Files, file_status
from nearstream.deploy.objectstore.index import Index
from nearstream.deploy.objectstore.records import Bucket, Row

# An upload that nobody has completed or aborted by then is aborted.
UPLOADS_KEPT_S: Final = 7 * 24 * 3600.0
# How the store of an earlier version named what it had not finished.
_HALF: Final = ".rclone_temp_"

_log = structlog.get_logger()


def remove_left(files: Files, index: Index, *, now_s: float) -> None:
    """Remove files that no object has, and uploads that are old or began before this machine did.

    Parts are brought to the disk only as the object that is written from them: those that a machine's crash
    left may be less than they were.
    """
    for path in files.held.iterdir():
        if not index.is_held(path.name):
            path.unlink()
    for upload in index.older_uploads(max(now_s - UPLOADS_KEPT_S, psutil.boot_time())):
        index.remove_upload(upload.id)
    for path in files.uploads.iterdir():
        if index.upload(path.name) is None:
            files.remove_upload(path.name)


def adopt(files: Files, index: Index) -> None:
    """Enter buckets and files that the index does not know; ETags are read when a call needs them."""
    with index.transaction():
        for folder in files.data.iterdir():
            if folder.name == OWN or folder.is_symlink() or not folder.is_dir():
                continue
            index.add_bucket(Bucket(folder.name, folder.stat().st_mtime))
            for top, _, names in os.walk(folder):
                for name in names:
                    _adopt_file(index, folder, Path(top) / name)


def _adopt_file(index: Index, bucket: Path, path: Path) -> None:
    key, status = str(path.relative_to(bucket)), file_status(path)
    try:
        key.encode()
    except UnicodeEncodeError:
        _log.warning("a file's name is not UTF-8; it is no object", path=repr(path))
        return
    if status is not None and not path.name.startswith(_HALF) and index.get(bucket.name, key) is None:
        index.put(Row(bucket.name, key, "", status.st_size, status.st_mtime_ns, ""))
