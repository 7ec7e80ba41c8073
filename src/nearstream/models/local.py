"""Finds the folder of a model that lies on this machine: the folder itself, or what its archive holds."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nearstream.core.errors import Unusable
from nearstream.home.locks import locked_by_thread
from nearstream.models.archives import is_archive, unpack

_KEY_DIGITS = 24


async def local_folder(url: str, cache: Path) -> Path:
    """`url`: a path, or a file:// address, of a folder or of an archive, which is unpacked once.

    Raises Unusable for an address of another machine and for an archive that cannot be unpacked.
    """
    path = _path(url)
    if not is_archive(path.name) or not path.is_file():
        return path
    return await asyncio.to_thread(_unpacked, path, cache / "archives")


def _path(url: str) -> Path:
    address = urlsplit(url)
    if address.scheme == "file" and address.netloc in {"", "localhost"}:
        return Path(unquote(address.path))
    if "://" in url:
        raise Unusable(
            f"{url} is not on this machine; "
            "a folder or an archive that is here, or an s3:// address, is wanted."
        )
    return Path(url)


def _unpacked(archive: Path, places: Path) -> Path:
    """By the file and its last change, so that another archive of this name is unpacked again."""
    try:
        found = archive.stat()
    except OSError as error:
        raise Unusable(f"{archive} cannot be unpacked: {error}") from error
    key = f"{archive.resolve()}\n{found.st_mtime_ns}\n{found.st_size}\n{found.st_ino}"
    target = places / hashlib.sha256(key.encode()).hexdigest()[:_KEY_DIGITS]
    with locked_by_thread(places / ".lock"):
        if not target.is_dir():
            unpack(archive, target)
    return target
