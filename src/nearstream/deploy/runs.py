"""The files of a home's replicas: what was started, where it listens, what it wrote."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from nearstream.core.errors import Unusable
from nearstream.core.replicas import ReplicaSpec
from nearstream.descriptors import is_shortage
from nearstream.home.paths import sockets_of
from nearstream.home.private import make_private, remove, write_private

LOG_BYTES = 16 * 1024 * 1024
LOGS_KEPT = 20
TAIL_LINES = 12
TAIL_BYTES = 2000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Run:
    """One started replica. `birth` distinguishes its process from a later one with the same pid."""

    id: str
    spec: ReplicaSpec
    pid: int
    birth: str
    socket: str
    log: str
    started_at: float
    """Seconds of the monotonic clock, which all processes of one boot share."""
    stopping: bool = False


class Runs:
    """`run/` and `logs/` below one home. A run's file holds the environment, hence secrets: mode 0600."""

    def __init__(self, home: Path) -> None:
        self._run = home / "run"
        self._logs = home / "logs"
        self._sockets = sockets_of(home)

    def prepare(self) -> None:
        """Makes the folders. Raises Unusable."""
        for folder in (self._run, self._logs):
            make_private(folder)

    def socket(self, replica_id: str) -> str:
        """Where a replica will listen. Raises Unusable."""
        make_private(self._sockets)
        return str(self._sockets / f"{replica_id}.sock")

    def remove_sockets(self) -> None:
        """Leave nothing outside the home, unless a replica still listens there."""
        if self._sockets != self._run:
            with suppress(OSError):
                self._sockets.rmdir()

    def log(self, spec: ReplicaSpec, replica_id: str) -> Path:
        """Where the replica writes; the oldest logs of its variant make room. Raises Unusable."""
        folder = self._logs / spec.endpoint / spec.variant
        make_private(folder)
        for old in sorted(folder.glob("*.log"), key=_age)[: -LOGS_KEPT + 1]:
            remove(old)
            remove(old.with_suffix(".log.1"))
        return folder / f"{replica_id}.log"

    def write(self, run: Run) -> None:
        """Whole or not at all. Raises Unusable."""
        # A machine that stops ends the process, too: no need to wait for the disk.
        write_private(self._file(run.id), msgspec.json.encode(run), durable=False)

    def ids(self) -> set[str]:
        """Raises Unusable when the folder cannot be read: that is no folder without replicas."""
        try:
            # Not glob: in some releases of Python it takes every error for an empty folder.
            names = os.listdir(self._run)  # noqa: PTH208
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise Unusable(f"The folder {self._run} cannot be read: {error.strerror}.") from error
        return {name.removesuffix(".json") for name in names if name.endswith(".json")}

    def read(self, replica_id: str) -> Run | None:
        """None for a file that is gone or damaged; a damaged one is put aside.

        Raises Unusable when this process has no descriptor left to read it with.
        """
        path = self._file(replica_id)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Run)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            if is_shortage(error):
                raise Unusable(f"The file {path} cannot be read: {error}.") from error
            _log.warning("a replica's file cannot be read", path=str(path), error=str(error))
            _rename(path, path.with_suffix(".damaged"))
            return None

    def has(self, replica_id: str) -> bool:
        """Whether it is there; needs no descriptor."""
        return self._file(replica_id).exists()

    def remove(self, run: Run) -> None:
        """Forgets the run; its log stays."""
        remove(Path(run.socket))
        remove(self._file(run.id))

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
