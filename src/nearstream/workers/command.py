"""Runs a program to its end, handing on each line it prints; cancelling it ends what it started."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from nearstream.workers.lines import Lines

_READ_BYTES = 1 << 14
_TAIL_LINES = 40
_DISK_FULL = "No space left on device"


class CommandFailed(Exception):
    """`reason`: why, in one line; the disk being full goes before what the program printed last.

    `status` is -1 for a program that could not be started; `tail` holds its last lines.
    """

    def __init__(self, program: str, status: int, tail: Sequence[str]) -> None:
        full = any(_DISK_FULL in line for line in tail)
        output = tail[-1] if tail else f"{program} printed nothing"
        self.reason = "the disk is full" if full else f"{output} (status {status})"
        self.status = status
        self.tail = tuple(tail)
        super().__init__(self.reason)


async def run(
    command: Sequence[str],
    *,
    on_line: Callable[[str], None],
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run `command` in `directory` with `environment`, by default our own.

    `on_line` gets its output and errors without blank lines. Raises CommandFailed unless it ends with 0.
    Cancelling it, as a time limit around it does, kills the program's process group.
    """
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            env=None if environment is None else dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(command[0], -1, [f"{command[0]}: {error.strerror}"]) from error
    try:
        async for line in _lines(process.stdout):
            tail.append(line)
            on_line(line)
        status = await process.wait()
    except BaseException:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if status:
        raise CommandFailed(command[0], status, tail)


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    lines, data = Lines(returns=True), b"-"
    while stream is not None and data:
        data = await stream.read(_READ_BYTES)
        lines.feed(data)
        while (line := lines.next(last=not data)) is not None:
            if text := line.strip():
                yield text
