"""The files of a home's replicas: what was started, where it listens, what it wrote."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from nearstream.core.errors import Unusable
from nearstream.core.replicas import ReplicaSpec

# The kernel takes 108 bytes (macOS 104) for a socket's path, its end included.
SOCKET_PATH_BYTES = 100
LOG_BYTES = 16 * 1024 * 1024
LOGS_KEPT = 20
TAIL_LINES = 12
TAIL_BYTES = 2000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Run:
    """One started replica. `birth` tells its process from a later one with the same pid."""

    id: str
    spec: ReplicaSpec
    pid: int
    birth: str
    socket: str
    log: str
    started_at: float
    stopping: bool = False


class Runs:
    """`run/` and `logs/` below one home. A run's file holds the environment, hence secrets: mode 0600."""

    def __init__(self, home: Path) -> None:
        self._run = home / "run"
        self._logs = home / "logs"
        self._sockets = sockets_of(home)

    def prepare(self) -> None:
        """Makes the folders. Raises Unusable."""
        for folder in (self._run, self._logs, self._sockets):
            make_private(folder)

    def socket(self, replica_id: str) -> str:
        return str(self._sockets / f"{replica_id}.sock")

    def log(self, spec: ReplicaSpec, replica_id: str) -> Path:
        """Where the replica writes; the oldest logs of its variant make room. Raises Unusable."""
        folder = self._logs / spec.endpoint / spec.variant
        make_private(folder)
        for old in sorted(folder.glob("*.log"), key=_age)[: -LOGS_KEPT + 1]:
            _remove(old)
            _remove(old.with_suffix(".log.1"))
        return folder / f"{replica_id}.log"

    def write(self, run: Run) -> None:
        """Whole or not at all. Raises Unusable."""
        path = self._file(run.id)
        half = path.with_suffix(".tmp")
        try:
            with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(run))
            half.replace(path)
        except OSError as error:
            _remove(half)
            raise Unusable(f"{path} cannot be written: {_meaning(error)}.") from error

    def ids(self) -> set[str]:
        try:
            return {path.stem for path in self._run.glob("*.json")}
        except OSError:
            return set()

    def read(self, replica_id: str) -> Run | None:
        """None for a file that is gone or damaged; a damaged one is put aside."""
        path = self._file(replica_id)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Run)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("a replica's file cannot be read", path=str(path), error=str(error))
            _rename(path, path.with_suffix(".damaged"))
            return None

    def remove(self, run: Run) -> None:
        """Forgets the run; its log stays."""
        _remove(Path(run.socket))
        _remove(self._file(run.id))

    def _file(self, replica_id: str) -> Path:
        return self._run / f"{replica_id}.json"


def tail_of(log: str) -> str:
    """The last lines of a log."""
    try:
        with Path(log).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-TAIL_LINES:]).strip()


def outgrown(log: str) -> bool:
    """Whether a log should be rotated."""
    try:
        return Path(log).stat().st_size > LOG_BYTES
    except OSError:
        return False


def rotate(log: str) -> None:
    """Keeps a log and one before it; the process appends, so the file can be emptied under it."""
    try:
        shutil.copyfile(log, f"{log}.1")
        os.truncate(log, 0)
    except OSError as error:
        _log.warning("a log cannot be rotated", path=log, error=str(error))


def sockets_of(home: Path) -> Path:
    """The folder of a home's sockets: `run`, or a short one elsewhere where the kernel takes no such path."""
    run = home / "run"
    if len(os.fsencode(run / "r-0123456789.sock")) <= SOCKET_PATH_BYTES:
        return run
    mark = hashlib.blake2s(os.fsencode(run.absolute()), digest_size=5).hexdigest()
    return Path(tempfile.gettempdir()) / f"nearstream-{os.geteuid()}-{mark}"


def make_private(folder: Path) -> None:
    """Make a folder that is ours alone. Raises Unusable, also for one of another user, or a link."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
            raise Unusable(f"{folder} belongs to another user: remove it, or choose another home.")
        folder.chmod(0o700)
    except OSError as error:
        raise Unusable(f"The folder {folder} cannot be made: {_meaning(error)}.") from error


def _meaning(error: OSError) -> str:
    return "no space is left on the device" if error.errno == errno.ENOSPC else str(error.strerror)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _rename(path: Path, target: Path) -> None:
    try:
        path.rename(target)
    except OSError as error:
        _log.warning("a file cannot be put aside", path=str(path), error=str(error))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("a file cannot be removed", path=str(path), error=str(error))
