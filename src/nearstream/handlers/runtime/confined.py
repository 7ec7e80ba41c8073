"""Confines itself by Landlock, then becomes another program: `python confined.py RULES PROGRAM …`.

RULES is JSON: files below `hidden` cannot be read, and nothing outside `writable` can be written; what is
below `readable` and `writable` can, also inside a hidden folder. It needs nothing but Python's own library.
linux/landlock.h.
"""

import ctypes
import json
import os
import stat
import struct
import sys

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH, _VERSION, _NO_NEW_PRIVILEGES = 1, 1, 38
_DROP_CAPABILITY, _CAPABILITIES, _CAPABILITY_FORM = 24, 64, 0x20080522
_WRITE_FILE, _READ_FILE, _TRUNCATE = 1 << 1, 1 << 2, 1 << 14
# Removing and making entries of every kind; moving them between folders since the second release.
_ENTRIES, _MOVE = sum(1 << bit for bit in range(4, 13)), 1 << 13
_SIGNALS = 1 << 1
# Since which release of Landlock they are known.
_MOVE_SINCE, _TRUNCATE_SINCE, _NETWORK_SINCE, _SIGNALS_SINCE = 2, 3, 4, 6
_SIZES = ((_SIGNALS_SINCE, 24), (_NETWORK_SINCE, 16), (1, 8))


def release() -> int:
    """The release of the kernel's Landlock; 0 where there is none."""
    try:
        found = ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, _VERSION)
    except (OSError, AttributeError):
        return 0
    return max(0, int(found))


def confine(hidden: list[str], readable: list[str], writable: list[str]) -> None:
    """Confine this thread and whatever it starts. Raises OSError."""
    known = release()
    write = _WRITE_FILE | _ENTRIES
    write |= _MOVE if known >= _MOVE_SINCE else 0
    write |= _TRUNCATE if known >= _TRUNCATE_SINCE else 0
    scoped = _SIGNALS if known >= _SIGNALS_SINCE else 0
    size = next(size for since, size in _SIZES if known >= since)
    rules = struct.pack("=QQQ", _READ_FILE | write, 0, scoped)[:size]
    ruleset = _call(_CREATE_RULESET, rules, len(rules), 0)
    closed = [os.path.realpath(path) for path in hidden]
    _grant(ruleset, "/", _READ_FILE, closed)
    for paths, access in ((readable, _READ_FILE), (writable, _READ_FILE | write)):
        for path in map(os.path.realpath, paths):
            _grant(ruleset, path, access, [each for each in closed if each != path and _below(each, path)])
    _give_up_privileges()
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _give_up_privileges() -> None:
    """None can be had any more, by no program; root's own would open the memory of other processes."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.geteuid() == 0:
        for capability in range(_CAPABILITIES):
            library.prctl(_DROP_CAPABILITY, capability, 0, 0, 0)
        if library.capset(struct.pack("=Ii", _CAPABILITY_FORM, 0), bytes(24)):
            raise OSError(ctypes.get_errno(), "capset")


def _grant(ruleset: int, path: str, access: int, hidden: list[str]) -> None:
    """Grant access to everything below `path` but what is hidden."""
    if path in hidden:
        return
    if not any(_below(each, path) for each in hidden):
        _add(ruleset, path, access)
        return
    try:
        entries = [entry for entry in os.scandir(path) if not entry.is_symlink()]
    except OSError:
        return
    for entry in entries:
        _grant(ruleset, entry.path, access, hidden)


def _below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _add(ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return  # it is gone, or nobody may open it
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _READ_FILE | _WRITE_FILE | _TRUNCATE
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    found = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return int(found)


if __name__ == "__main__":
    confine(**json.loads(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted
