"""A worker: a child process at the other end of a socket pair, with all that it starts in its group."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from nearstream.workers.frames import FrameReader
from nearstream.workers.lines import LinePump

_STREAMS = {1: "stdout", 2: "stderr"}
_DRAIN_S = 1.0
"""After its end a process's last output is read for at most so long."""

Frame = TypeVar("Frame")
Frame_contra = TypeVar("Frame_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Program:
    """What to start; the number of its socket follows `command` as the last argument.

    `environment` None: our own. `end_wait_s`: how long it may take to end once its socket is closed.
    """

    command: tuple[str, ...]
    directory: Path | None = None
    environment: Mapping[str, str] | None = None
    end_wait_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: its exit status, negative for a signal; `why` we killed it, if we did."""

    status: int
    why: str = ""

    @property
    def how(self) -> str:
        """What the operating system says of it, as in "it {how}"."""
        if self.status >= 0:
            return f"ended with status {self.status}"
        hint = " (often for want of memory)" if self.status == -signal.SIGKILL else ""
        return f"was ended by {signal.Signals(-self.status).name}{hint}"


class Listener(Protocol[Frame_contra]):
    """Called as things happen, with no task in between; nothing is called after `ended`."""

    def received(self, frame: Frame_contra) -> None:
        """A frame has come."""
        ...

    def printed(self, stream: str, line: str) -> None:
        """A line has come on "stdout" or "stderr"."""
        ...

    def disconnected(self) -> None:
        """The socket is closed at one of its ends and all that came is read; the process may still run."""
        ...

    def ended(self, end: Exit) -> None:
        """The process is gone, its group was killed, its output is read; comes after `disconnected`."""
        ...


class WorkerProcess(Generic[Frame]):
    """Leads a session of its own, so that its end is the end of everything it started."""

    def __init__(
        self, program: Program, listener: Listener[Frame], decode: Callable[[memoryview], Frame]
    ) -> None:
        self._program = program
        self._listener = listener
        self._reader = FrameReader(decode)
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Exit] = self._loop.create_future()
        self._exit: Exit | None = None
        self._transport: asyncio.Transport | None = None
        self._disconnected = False
        self._child = _Child(listener.printed, self._exited)

    async def start(self) -> None:
        """Start the program. Raises OSError where it cannot be started."""
        program = self._program
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                await self._loop.subprocess_exec(
                    lambda: self._child,
                    *program.command,
                    str(theirs.fileno()),
                    pass_fds=(theirs.fileno(),),
                    cwd=program.directory,
                    env=None if program.environment is None else dict(program.environment),
                    stdin=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
            await self._loop.create_connection(lambda: _Socket(self), sock=ours)
        except BaseException:
            ours.close()
            self.kill("it was not started to the end")
            raise

    @property
    def pid(self) -> int:
        """The process's id, which is its group's."""
        return self._child.pid

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._ended.done()

    def send(self, data: bytes) -> None:
        """Hand over bytes of frames; a process that is gone does not get them."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def ended(self) -> Exit:
        """Wait until the process is gone."""
        return await asyncio.shield(self._ended)

    async def end(self) -> Exit:
        """Close the socket, which ends the process; kill it if that does not. Safe to repeat."""
        if self._transport is not None:
            self._transport.close()
        try:
            async with asyncio.timeout(self._program.end_wait_s):
                return await self.ended()
        except TimeoutError:
            self.kill("it did not end by itself")
            return await self.ended()

    def kill(self, why: str) -> None:
        """End the process and every other one in its group now; one that is gone is no error."""
        self._child.kill(why)

    def connected(self, transport: asyncio.Transport) -> None:
        """The socket is open."""
        self._transport = transport

    def received(self, data: bytes) -> None:
        """Bytes have come."""
        for frame in self._reader.feed(data):
            self._listener.received(frame)

    def disconnected(self) -> None:
        """The socket is closed."""
        if self._disconnected:
            return
        self._disconnected = True
        self._listener.disconnected()
        if self._exit is not None:
            self._finish()
        else:
            # A process that closed its end and runs on can do nothing for anyone.
            self._loop.call_later(self._program.end_wait_s, self.kill, "it closed its end of the socket")

    def _exited(self, end: Exit) -> None:
        """The process is gone; what it sent last may not be read yet."""
        self._exit = end
        if self._disconnected or self._transport is None:
            self._finish()
        else:
            self._loop.call_later(_DRAIN_S, self._finish)

    def _finish(self) -> None:
        if self._ended.done() or self._exit is None:
            return
        if self._transport is not None:
            self._transport.abort()
        self._ended.set_result(self._exit)
        self.disconnected()
        self._listener.ended(self._exit)


class _Socket(asyncio.Protocol):
    """Our end of the socket pair."""

    def __init__(self, process: WorkerProcess[Any]) -> None:
        self._process = process

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._process.connected(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._process.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._process.disconnected()


class _Child(asyncio.SubprocessProtocol):
    """The operating system's side: the output, the end, and the end of the group."""

    def __init__(self, printed: Callable[[str, str], None], exited: Callable[[Exit], None]) -> None:
        self._printed = printed
        self._exited = exited
        self._transport: asyncio.SubprocessTransport | None = None
        self._pumps: dict[int, LinePump] = {}
        self._over = False
        self._why = ""
        self.pid = 0

    def kill(self, why: str = "") -> None:
        # By the group's number, which the system gives to nobody else while the group has a member, and not
        # by the transport, which raises where the process ended and we have not heard of it yet.
        if self.pid and not self._over:
            self._why = self._why or why
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid() or 0
        self._pumps = {number: self._pump(number, stream) for number, stream in _STREAMS.items()}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._pumps[fd].feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd in self._pumps:
            self._pumps[fd].close()

    def process_exited(self) -> None:
        # Others in its group may hold the pipes, and whatever else it had.
        self.kill()
        asyncio.get_running_loop().call_later(_DRAIN_S, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if self._over or self._transport is None:
            return
        self._over = True
        status = self._transport.get_returncode() or 0
        self._transport.close()
        self._exited(Exit(status, self._why if status == -signal.SIGKILL else ""))

    def _pump(self, number: int, stream: str) -> LinePump:
        transport = self._transport
        pipe = cast("asyncio.ReadTransport", transport.get_pipe_transport(number)) if transport else None

        def read(*, on: bool) -> None:
            if pipe is not None and not pipe.is_closing():
                (pipe.resume_reading if on else pipe.pause_reading)()

        return LinePump(
            lambda line: self._printed(stream, line),
            pause=lambda: read(on=False),
            resume=lambda: read(on=True),
        )
