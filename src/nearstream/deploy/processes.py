"""Processes of this machine: start one in its own session, know it again later, end it with its children."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from nearstream.core.errors import Unusable

_PROC = Path("/proc")
_HAS_PROC = (_PROC / "self" / "stat").exists()
_GONE_STATES = {"Z", "X", "x"}
_ABSENT = {errno.ENOENT, errno.ESRCH, errno.ENOTDIR}


def spawn(argv: list[str], environment: Mapping[str, str], *, log: Path, what: str = "A replica") -> int:
    """Starts `argv` as the leader of a new session, its output appended to `log`; returns its pid.

    The process outlives this one. Raises Unusable when it cannot be started; `what` names it there.
    """
    append = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        return os.posix_spawn(
            argv[0], argv, environment, file_actions=files, setsid=True, setsigdef=[signal.SIGPIPE]
        )
    except OSError as error:
        raise Unusable(f"{what} cannot be started with {argv[0]}: {error.strerror}.") from error
    except ValueError as error:
        raise Unusable(f"{what} cannot be started, its environment or model: {error}.") from error


def birth_of(pid: int) -> str | None:
    """A mark that no other process with this pid will ever have; None when there is none.

    On Linux it is the boot and the tick at which the process started: the wall clock may be set meanwhile.
    Raises OSError when this process cannot look, as when it has no descriptor left.
    """
    if _HAS_PROC:
        fields = _stat(pid)
        return f"{_boot()}/{fields[19]}" if fields else None
    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_alive(pid: int, birth: str) -> bool:
    """Whether the process that had this mark still runs; a zombie does not.

    Where this process cannot look, one with that pid counts as it: what is not known dead is alive.
    """
    if _HAS_PROC:
        try:
            fields = _stat(pid)
            return bool(fields) and f"{_boot()}/{fields[19]}" == birth and fields[0] not in _GONE_STATES
        except OSError:
            return _has_process(pid)
    if birth_of(pid) != birth:
        return False
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def terminate(pid: int, birth: str) -> None:
    """Asks the process itself, and not its children, to finish."""
    if is_alive(pid, birth):
        _signal(os.kill, pid, signal.SIGTERM)


def kill_group(pid: int, birth: str) -> None:
    """Kills the process and what it left behind in its session.

    A pid is not given out again while a group bears it: a stranger there means that our group is empty.
    """
    try:
        ours = birth_of(pid) in {birth, None} and _same_boot(birth)
    except OSError:
        return  # whether it is ours cannot be told now; who stops it asks again
    if ours:
        _signal(os.killpg, pid, signal.SIGKILL)


def reap(pid: int, *, wait: bool = False) -> str | None:
    """How a child of ours ended, in words; None when it is not our child or has not ended."""
    try:
        ended, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
    except ChildProcessError:
        return None
    if ended == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGKILL:
        return "was killed by SIGKILL, as the kernel does when memory runs out"
    return (
        f"was killed by signal {-code} ({signal.strsignal(-code)})"
        if code < 0
        else f"exited with code {code}"
    )


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; the name before them may hold anything.

    None of them for a process that is gone. Raises OSError when this process cannot look.
    """
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError as error:
        if error.errno in _ABSENT:
            return []
        raise


@cache
def _boot() -> str:
    """Raises OSError when this process cannot look."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, PermissionError):
        return ""


def _has_process(pid: int) -> bool:
    """Needs no descriptor."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _same_boot(birth: str) -> bool:
    return not _HAS_PROC or birth.startswith(f"{_boot()}/")


def _signal(send: Callable[[int, int], None], pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        send(pid, number)
