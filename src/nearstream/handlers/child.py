"""The operating system's side of a handler's process: its output, its end, and the end of all it started."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import structlog

from nearstream.handlers.output import Pump

_STREAMS = {1: "stdout", 2: "stderr"}
_DRAIN_S = 1.0
"""What the process said last is read for so long after its end."""

_log = structlog.get_logger(__name__)


class Child(asyncio.SubprocessProtocol):
    """Leads a session of its own. `on_end` hears why it ended, once what it said last is read."""

    def __init__(self, model: str, on_end: Callable[[str], None]) -> None:
        self._model = model
        self._on_end = on_end
        self._transport: asyncio.SubprocessTransport | None = None
        self._pumps: dict[int, Pump] = {}
        self._told = False
        self._why = ""
        self.pid = 0

    def kill(self, why: str = "") -> None:
        """End the process and every other one in its group."""
        if self.pid and not self._told:
            self._why = self._why or why
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid() or 0
        self._pumps = {number: self._pump(number, name) for number, name in _STREAMS.items()}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._pumps[fd].feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd in self._pumps:
            self._pumps[fd].close()

    def process_exited(self) -> None:
        # What it left behind in its group holds the pipes, and whatever else it holds.
        self.kill()
        asyncio.get_running_loop().call_later(_DRAIN_S, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if self._told or self._transport is None:
            return
        self._told = True
        status = self._transport.get_returncode()
        self._transport.close()
        self._on_end(self._why or exit_reason(status or 0))

    def _pump(self, number: int, name: str) -> Pump:
        transport = self._transport
        pipe = cast("asyncio.ReadTransport", transport.get_pipe_transport(number)) if transport else None
        log = _log.bind(model=self._model, pid=self.pid, stream=name)

        def read(*, on: bool) -> None:
            if pipe is not None and not pipe.is_closing():
                (pipe.resume_reading if on else pipe.pause_reading)()

        return Pump(
            lambda line: log.info("handler said", line=line),
            pause=lambda: read(on=False),
            resume=lambda: read(on=True),
        )


def exit_reason(status: int) -> str:
    """Why a process ended, from its exit status."""
    if status >= 0:
        return f"it ended with status {status}"
    hint = " (often for want of memory)" if status == -signal.SIGKILL else ""
    return f"it was ended by {signal.Signals(-status).name}{hint}"
