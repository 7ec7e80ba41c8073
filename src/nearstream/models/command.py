"""Runs a program to its end, handing on each line it prints; cancelling it ends what it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

_READ_BYTES = 1 << 14
_TAIL_LINES = 40
_LINE_ENDS = re.compile(rb"[\r\n]+")
_DISK_FULL = "No space left on device"


class CommandFailed(Exception):
    """`reason`: why, in one line; the disk being full goes before what the program said last."""

    def __init__(self, program: str, status: int, tail: Sequence[str]) -> None:
        full = any(_DISK_FULL in line for line in tail)
        said = tail[-1] if tail else f"{program} said nothing"
        self.reason = "the disk is full" if full else f"{said} (status {status})"
        super().__init__(self.reason)


async def run(command: Sequence[str], *, progress: Callable[[str], None]) -> None:
    """Run `command`; `progress` hears its output and errors. Raises CommandFailed unless it ends with 0."""
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
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
            progress(line)
        status = await process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if status:
        raise CommandFailed(command[0], status, tail)


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    """Lines ended by a newline or, as progress bars do, by a carriage return."""
    rest = b""
    while stream is not None and (data := await stream.read(_READ_BYTES)):
        *whole, rest = _LINE_ENDS.split(rest + data)
        for line in whole:
            if text := line.decode(errors="replace").strip():
                yield text
    if text := rest.decode(errors="replace").strip():
        yield text
