"""A model's data: fetched and unpacked once, kept by what it is, the same for all replicas of a deployment.

A deployment's first replica pins the objects that it found; the others get these and no newer ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nearstream.core.errors import Unfit, Unusable
from nearstream.home.locks import locked_by_thread
from nearstream.home.private import write_private
from nearstream.models.archives import Bounds, is_archive, unpack
from nearstream.models.objects import Access, Bucket, Object, parse

Progress = Callable[[str], None]

DEFAULT_BOUNDS = Bounds()
_KEY_DIGITS = 24
_HIDDEN = (".", "__MACOSX")


@dataclass(frozen=True, slots=True)
class Places:
    """Where data is kept: `cache` may be emptied by anyone, `pins` says what each deployment was made of."""

    cache: Path
    pins: Path


@dataclass(frozen=True, slots=True)
class Pin:
    """What one deployment's data was when its first replica fetched it."""

    url: str
    objects: tuple[Object, ...]


async def model_data(
    url: str,
    *,
    access: Access,
    places: Places,
    pin: str = "",
    bounds: Bounds = DEFAULT_BOUNDS,
    progress: Progress = lambda _: None,
) -> Path:
    """The folder of the model that `url` names: an archive, unpacked, or all objects below a prefix.

    `pin` names the deployment; "": whatever is there now. Raises Unfit for what stays as it is until it is
    deployed again (nothing there, no permission, a broken archive, changed data), Unusable for the rest.
    """
    stop = threading.Event()
    fetch = _Fetch(url, access, places, bounds, progress, stop)
    try:
        return await asyncio.to_thread(fetch.run, pin)
    finally:
        stop.set()


@dataclass(frozen=True, slots=True)
class _Fetch:
    """Runs in a thread of its own, and ends soon after `stop` is set."""

    url: str
    access: Access
    places: Places
    bounds: Bounds
    progress: Progress
    stop: threading.Event

    def run(self, pin: str) -> Path:
        if not pin:
            return self._unpacked(self._bucket().find())
        # One deployment may need several: an archive of settings, and the weights that these name.
        key = hashlib.sha256(f"{pin}\n{self.url}".encode()).hexdigest()
        file = self.places.pins / f"{key[:_KEY_DIGITS]}.json"
        with self._locked(file.with_suffix(".lock")):
            return self._pinned(file)

    def _pinned(self, file: Path) -> Path:
        wanted = _read_pin(file)
        if wanted is not None and (kept := self._kept(wanted.objects)):
            return kept
        found = self._bucket().find()
        if wanted is None:
            write_private(file, msgspec.json.encode(Pin(self.url, found)))
        elif found != wanted.objects:
            raise Unfit(
                f"The model data at {self.url} has changed since it was deployed, and the copy that was "
                "deployed is no longer in the cache: delete the endpoint and create it again to run what is "
                "there now."
            )
        return self._unpacked(found)

    def _bucket(self) -> Bucket:
        return Bucket(self.access, parse(self.url, site=self.access.url))

    def _kept(self, objects: tuple[Object, ...]) -> Path | None:
        folder = self._folder(objects)
        return _within(folder / "model") if (folder / "model").is_dir() else None

    def _folder(self, objects: tuple[Object, ...]) -> Path:
        held = [[each.key, each.etag, each.size] for each in objects]
        as_it_is = [] if self.bounds.unpacks else ["as it is"]
        identity = msgspec.json.encode([self.url, held, *as_it_is])
        return self.places.cache / "artifacts" / hashlib.sha256(identity).hexdigest()[:_KEY_DIGITS]

    def _unpacked(self, objects: tuple[Object, ...]) -> Path:
        folder = self._folder(objects)
        with self._locked(folder.with_suffix(".lock")):
            if kept := self._kept(objects):
                return kept
            # What a fetch that was killed left behind.
            shutil.rmtree(folder, ignore_errors=True)
            try:
                self._make(objects, folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            return _within(folder / "model")

    def _make(self, objects: tuple[Object, ...], folder: Path) -> None:
        size = sum(each.size for each in objects)
        if size > self.bounds.total_bytes:
            raise Unfit(
                f"{self.url} holds {size >> 20} MiB; {self.bounds.total_bytes >> 20} MiB are allowed."
            )
        bucket, fetched = self._bucket(), folder / "fetched"
        _make_room(fetched, self.url)
        if not objects:
            self.progress(f"nothing lies below {self.url}")
        for each in objects:
            place = fetched / bucket.relative(each)
            _make_room(place.parent, self.url)
            self.progress(f"fetching {each.key}, {each.size >> 20} MiB")
            bucket.fetch(each, place, check=self._check)
        if self.bounds.unpacks and len(objects) == 1 and is_archive(objects[0].key):
            self.progress(f"unpacking {objects[0].key}")
            archive = fetched / bucket.relative(objects[0])
            unpack(archive, folder / "model", bounds=self.bounds, name=self.url, check=self._check)
            shutil.rmtree(fetched)
        else:
            fetched.replace(folder / "model")

    def _check(self) -> None:
        if self.stop.is_set():
            raise Unusable(f"{self.url} was not fetched to its end: the server stops.")

    def _locked(self, path: Path) -> AbstractContextManager[None]:
        """Hold a lock that other replicas respect."""
        self._check()
        _make_room(path.parent, self.url)
        return locked_by_thread(path, check=self._check)


def _read_pin(file: Path) -> Pin | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Pin)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise Unusable(f"{file}, which says what was deployed, cannot be read: {error}.") from error


def _within(folder: Path) -> Path:
    """The folder itself, or the only one in it: archives of a folder hold that folder."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(_HIDDEN)]
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder


def _make_room(folder: Path, url: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unusable(f"{url} cannot be kept at {folder}: {error.strerror}.") from error
