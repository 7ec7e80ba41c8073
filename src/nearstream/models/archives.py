"""Unpacks a model's archive, trusting nothing in it: each member is checked before a byte is written.

Members become plain files and folders with modes of our choosing; anything else is refused by its name. The
folder is there when the whole archive was good, and not before.
"""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from nearstream.core.errors import Unfit, Unusable

GIB = 1024**3
SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
_COPY_BYTES = 1024 * 1024
_PATH_BYTES = 4096
_BLOCK_BYTES = 512
# What stands before a member, with a name of any length, or after the last one.
_HEAD_BYTES = 16 * 1024 * 1024
# Below this an archive may be as dense as it likes: a folder of zeros hurts nobody.
_DENSE_BYTES = 100 * 1024 * 1024
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, NotImplementedError)
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an archive may become. `ratio`: unpacked bytes for each packed one, beyond the first 100 MiB.

    `unpacks` False: it stays as it is.
    """

    total_bytes: int = 256 * GIB
    members: int = 100_000
    ratio: int = 1000
    unpacks: bool = True


@dataclass(frozen=True, slots=True)
class _Member:
    """One file, or a folder where `open` is None; `size` is what the archive claims."""

    name: str
    size: int
    open: Callable[[], IO[bytes]] | None
    executable: bool = False
    refused: str = ""
    """What the member is, if it is no kind that is unpacked."""


def is_archive(name: str) -> bool:
    """Whether a name ends like an archive that `unpack` takes."""
    return name.lower().endswith(SUFFIXES)


def unpack(
    archive: Path,
    target: Path,
    *,
    bounds: Bounds = Bounds(),
    name: str = "",
    check: Callable[[], None] = lambda: None,
) -> None:
    """Make the folder `target` of what `archive` holds, a tar (gzip or not) or a zip file by its first bytes.

    `name` is what messages call it; `check` is called as bytes come, and may raise to end it. Raises Unfit
    with the member at fault, Unusable when it cannot be written; then nothing is left behind.
    """
    label = name or archive.name
    half = target.with_name(f".{target.name}.{os.getpid()}.half")
    try:
        _remove(half)
        half.mkdir(mode=0o700, parents=True)
        _write(archive, half, bounds, label, check)
        half.replace(target)
    except OSError as error:
        raise Unusable(f"{label} cannot be unpacked: {_meaning(error)}.") from error
    except _BROKEN as error:
        why = str(error).strip() or type(error).__name__
        raise Unfit(f"{label} is broken or cut short: {why}.") from error
    finally:
        _remove(half)


def _write(archive: Path, folder: Path, bounds: Bounds, label: str, check: Callable[[], None]) -> None:
    most = min(bounds.total_bytes, max(_DENSE_BYTES, archive.stat().st_size * bounds.ratio))
    written = count = 0
    for member in _members(archive, label):
        count += 1
        if count > bounds.members:
            raise Unfit(f"{label} has more than {bounds.members} members; {member.name!r} is one too many.")
        place = folder / _checked(member, label)
        if member.size > most - written:
            raise Unfit(_too_large(member, most, label))
        if member.open is None:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            continue
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with member.open() as source:
            _clear(place, member, label)
            written += _copy(source, place, member, most - written, label, check)


def _copy(
    source: IO[bytes], place: Path, member: _Member, room: int, label: str, check: Callable[[], None]
) -> int:
    """Counts what really comes: sizes in an archive are its own claims."""
    copied = 0
    # Exclusive and never through a link: the name was cleared, and no other process may take it meanwhile.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(place, flags, 0o700 if member.executable else 0o600), "wb") as file:
        while piece := source.read(_COPY_BYTES):
            check()
            copied += len(piece)
            if copied > room:
                raise Unfit(_too_large(member, room, label))
            file.write(piece)
    if copied != member.size:
        raise Unfit(f"{label} is broken or cut short: {member.name!r} has {copied} of {member.size} bytes.")
    return copied


def _clear(place: Path, member: _Member, label: str) -> None:
    """A tar may name a file twice, and the later one counts; a file in a folder's place is nonsense."""
    if place.is_dir():
        raise Unfit(f"{label} has a file and a folder by the same name: {member.name!r}.")
    place.unlink(missing_ok=True)


def _checked(member: _Member, label: str) -> PurePosixPath:
    """Where a member goes, below the folder. Raises Unfit."""
    if member.refused:
        raise Unfit(f"{label} is refused: its member {member.name!r} is {member.refused}.")
    path = PurePosixPath(member.name)
    long = len(os.fsencode(member.name)) > _PATH_BYTES
    if path.is_absolute() or ".." in path.parts or "\0" in member.name or long:
        raise Unfit(
            f"{label} is refused: its member {member.name[:200]!r} lies outside of the archive's folder."
        )
    return path


def _members(archive: Path, label: str) -> Iterator[_Member]:
    with archive.open("rb") as file:
        begins = file.read(4)
        file.seek(0)
        if begins == b"PK\x03\x04":
            yield from _zipped(file)
        elif not begins:
            raise Unfit(f"{label} is empty.")
        else:
            yield from _tarred(file, label)


def _tarred(file: IO[bytes], label: str) -> Iterator[_Member]:
    """One after the other as they come, never all in memory."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    source = _Metered(cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if packed else file)
    source.allow(_HEAD_BYTES)
    with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r|", errorlevel=2) as tar:
        for info in tar:
            source.allow(info.size + _HEAD_BYTES)
            yield _tar_member(tar, info)
            tar.members = []  # type: ignore[attr-defined]  # it keeps all of them otherwise
            source.allow(_HEAD_BYTES)
    # To the end, where gzip has its checksum; a tar ends with blocks of zeros.
    while source.read(_COPY_BYTES):
        pass
    if source.last.strip(b"\0"):
        raise Unfit(f"{label} is broken or cut short: it has no end.")


class _Metered:
    """A stream of which no more is read than what comes next may have: heads are held in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = 0
        self.last = b""

    def allow(self, count: int) -> None:
        self._left = count

    def read(self, count: int) -> bytes:
        data = self._file.read(count)
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError("a head in it does not end")
        if data:
            self.last = (self.last + data)[-_BLOCK_BYTES:]
        return data


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    def open_() -> IO[bytes]:
        source = tar.extractfile(info)
        assert source is not None  # noqa: S101  # a regular file
        return source

    return _Member(
        info.name,
        info.size,
        open_ if info.isreg() else None,
        executable=bool(info.mode & stat.S_IXUSR),
        refused=_tar_kind(info),
    )


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return "a link"
    if info.issparse():
        return "a sparse file"
    return "" if info.isreg() or info.isdir() else "neither a file nor a folder"


def _zipped(file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as zipped:
        for info in zipped.infolist():
            opener = None if info.is_dir() else _zip_opener(zipped, info)
            executable = bool(info.external_attr >> 16 & stat.S_IXUSR)
            yield _Member(
                info.filename, info.file_size, opener, executable=executable, refused=_zip_kind(info)
            )


def _zip_opener(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: zipped.open(info)


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    if stat.S_ISLNK(mode):
        return "a link"
    return "" if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR) else "neither a file nor a folder"


def _too_large(member: _Member, most: int, label: str) -> str:
    return (
        f"{label} is refused: with its member {member.name!r} it unpacks to more than it may "
        f"({most >> 20} MiB were left)."
    )


def _meaning(error: OSError) -> str:
    return "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
