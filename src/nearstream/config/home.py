"""The home folder: one site's state on disk, its identity, and the lock that keeps a second one out."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nearstream.core.errors import Conflict, Missing, Unusable

# What a start writes at least: the database with its journal, the first log.
FREE_BYTES = 8 * 1024 * 1024
LOCK_TRIES = 5
LOCK_WAIT_S = 0.02


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account of this site: what a client signs with. The secret is never logged."""

    account: str
    region: str
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Credentials({self.account!r}, {self.region!r}, access_key={self.access_key!r})"


@dataclass(frozen=True, slots=True)
class Running:
    """The front door that holds a home: its process id and the address clients use."""

    pid: int
    url: str


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one home folder."""

    path: Path

    @property
    def database(self) -> str:
        return f"sqlite+aiosqlite:///{self.path / 'state.db'}"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def credentials_file(self) -> Path:
        return self.path / "credentials.json"

    @property
    def lock_file(self) -> Path:
        return self.path / "frontdoor.lock"

    def create(self) -> None:
        """Make the folder, for its owner alone. Raises Unusable, also when its disk is full."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            free_bytes = shutil.disk_usage(self.path).free
        except OSError as error:
            raise Unusable(f"The home folder {self.path} cannot be made: {error.strerror}.") from error
        if free_bytes < FREE_BYTES:
            raise Unusable(
                f"The disk of the home folder {self.path} is full: {free_bytes // 1024} KiB are free, "
                f"{FREE_BYTES // 1024} KiB are needed for state and logs. "
                f"Free some, or choose another --home."
            )

    def credentials(self) -> Credentials:
        """The identity made at first start. Raises Missing when nothing was started on this home yet."""
        try:
            return msgspec.json.decode(self.credentials_file.read_bytes(), type=Credentials)
        except FileNotFoundError:
            raise Missing(
                f"There is no nearstream home at {self.path} yet: start one with `nearstream up` "
                f"(or name another folder with --home)."
            ) from None
        except (OSError, msgspec.MsgspecError) as error:
            raise Unusable(f"The credentials in {self.credentials_file} cannot be read: {error}.") from error

    def ensure_credentials(self, region: str) -> Credentials:
        """Read the identity, or make one; the region given at first start stays."""
        try:
            return self.credentials()
        except Missing:
            pass
        made = Credentials(
            account="".join(secrets.choice(string.digits) for _ in range(12)),
            region=region,
            access_key="AKIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16)),
            secret_key=secrets.token_urlsafe(30),
        )
        write_private(self.credentials_file, msgspec.json.encode(made))
        return made

    @contextmanager
    def lock(self, url: str) -> Iterator[None]:
        """Hold the home for this process; the lock falls with it, however it ends. Raises Conflict."""
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _locked(descriptor):
                other = self.running()
                who = f"process {other.pid}, {other.url}" if other else "another process"
                raise Conflict(
                    f"nearstream is already running on {self.path} ({who}). "
                    f"Stop it with `nearstream down --home {self.path}`, or give this one its own --home."
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, msgspec.json.encode(Running(pid=os.getpid(), url=url)), 0)
            yield
        finally:
            os.close(descriptor)

    def running(self) -> Running | None:
        """The front door that holds this home now, or None."""
        try:
            descriptor = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
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
    """Whether the lock is ours now; one that `running` only looks at is free again in a moment."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(LOCK_WAIT_S)
        else:
            return True
    return False


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all. Raises Unusable."""
    half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        what = "no space is left on the device" if error.errno == errno.ENOSPC else error.strerror
        raise Unusable(f"{path} cannot be written: {what}.") from error
