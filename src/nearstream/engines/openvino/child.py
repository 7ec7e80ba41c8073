"""The engine's end of one worker process: starts it, talks to it, says why it ended."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import cast

from nearstream.core.errors import EngineDied, Unusable
from nearstream.engines.openvino.frames import (
    AdapterTried,
    Load,
    Loaded,
    Stepped,
    ToWorker,
    Unloadable,
    encode,
    from_worker,
)

_WORKER = "nearstream.engines.openvino.worker"
_STDERR_BYTES = 4096
_END_WAIT_S = 5.0


class Child(asyncio.Protocol):
    """One worker process. Steps go to `on_step` as they are read, with no task in between."""

    def __init__(
        self, on_step: Callable[[Stepped], None], on_adapter: Callable[[AdapterTried], None]
    ) -> None:
        self._on_step = on_step
        self._on_adapter = on_adapter
        self._reader = from_worker()
        self._loaded: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()
        self._process = Process()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def start(
        cls, load: Load, on_step: Callable[[Stepped], None], on_adapter: Callable[[AdapterTried], None]
    ) -> Child:
        """Start a worker on `load`; it loads while this returns."""
        loop = asyncio.get_running_loop()
        child = cls(on_step, on_adapter)
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = (sys.executable, "-P", "-m", _WORKER, str(number))
            try:
                await loop.subprocess_exec(
                    lambda: child._process,
                    *command,
                    pass_fds=(number,),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        await loop.create_connection(lambda: child, sock=ours)
        child.send(load)
        return child

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def send(self, frame: ToWorker) -> None:
        """Hand a frame over; a worker that is gone does not get it."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(frame))

    async def loaded(self, *, timeout_s: float) -> Loaded:
        """Wait until it has loaded and generated once. Raises Unusable with its own reason."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._loaded)
        except TimeoutError:
            raise Unusable(f"the model did not load within {timeout_s:g} s") from None
        except EngineDied:
            raise Unusable(f"the model could not be loaded: {await self.ended()}") from None

    async def unless_ended(self, work: Coroutine[None, None, None]) -> None:
        """Wait for `work` that this worker does. Raises Unusable if it ends meanwhile."""
        doing, ended = asyncio.ensure_future(work), asyncio.ensure_future(self.ended())
        try:
            await asyncio.wait((doing, ended), return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise Unusable(f"the adapters could not be loaded again: {ended.result()}")
            doing.result()
        finally:
            doing.cancel()
            ended.cancel()

    async def ended(self) -> str:
        """Wait until the process is gone; why it went, in a few words."""
        return await asyncio.shield(self._process.ended)

    async def end(self) -> None:
        """Close the socket, which ends the worker after its step; kill it if it does not. Safe to repeat."""
        if self._transport is not None:
            self._transport.close()
        try:
            async with asyncio.timeout(_END_WAIT_S):
                await self.ended()
        except TimeoutError:
            self.kill()
            await self.ended()

    def kill(self) -> None:
        """End the worker now."""
        self._process.kill()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if isinstance(frame, Stepped):
                self._on_step(frame)
            elif isinstance(frame, AdapterTried):
                self._on_adapter(frame)
            elif isinstance(frame, Unloadable):
                self._loaded.set_exception(Unusable(f"the model could not be loaded: {frame.message}"))
            elif not self._loaded.done():
                self._loaded.set_result(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._loaded.done():
            self._loaded.set_exception(EngineDied("the engine's process ended while it loaded the model"))
        self._loaded.exception()  # retrieved here, so that a loop with no one waiting does not report it


class Process(asyncio.SubprocessProtocol):
    """The operating system's side: the last lines it wrote to stderr, and how it ended."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.pid = 0
        self._transport: asyncio.SubprocessTransport | None = None
        self._stderr = b""

    def kill(self) -> None:
        if self._transport is not None and not self.ended.done():
            self._transport.kill()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid() or 0

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._stderr = (self._stderr + data)[-_STDERR_BYTES:]

    def connection_lost(self, exc: Exception | None) -> None:
        status = None
        if self._transport is not None:
            status = self._transport.get_returncode()
            self._transport.close()
        if not self.ended.done():
            self.ended.set_result(exit_reason(status or 0, self._stderr.decode(errors="replace")))


def exit_reason(status: int, stderr: str) -> str:
    """Why a process ended, from its exit status and the last it wrote."""
    if status < 0:
        hint = " (often for want of memory)" if status == -signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-status).name}{hint}"
    said = [line for line in stderr.splitlines() if line.strip()]
    return f"its process ended with status {status}" + (f": {said[-1].strip()}" if said else "")
