"""The engine's end of one worker process: starts it, talks to it, says why it ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import cast

from nearstream.core.errors import EngineDied, Unusable
from nearstream.engines.openvino.frames import (
    Load,
    Loaded,
    Stepped,
    ToWorker,
    Unloadable,
    encode,
    from_worker,
)

_WORKER = "nearstream.engines.openvino.worker"
_LOG_LINES = 20
_END_WAIT_S = 5.0


class Child(asyncio.Protocol):
    """One worker process. Steps go to `on_step` as they are read, with no task in between."""

    def __init__(self, on_step: Callable[[Stepped], None]) -> None:
        loop = asyncio.get_running_loop()
        self._on_step = on_step
        self._reader = from_worker()
        self._loaded: asyncio.Future[Loaded] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._log: deque[str] = deque(maxlen=_LOG_LINES)

    @classmethod
    async def start(cls, load: Load, on_step: Callable[[Stepped], None]) -> Child:
        """Start a worker on `load`; it loads while this returns."""
        child = cls(on_step)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                child._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",
                    "-m",
                    _WORKER,
                    str(theirs.fileno()),
                    pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: child, sock=ours)
        child.send(load)
        return child

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._running.pid

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise AssertionError("the worker was not started")
        return self._process

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

    async def ended(self) -> str:
        """Wait until the process is gone; why it went, in a few words."""
        stderr = self._running.stderr
        if stderr is not None:
            async for line in stderr:
                self._log.append(line.decode(errors="replace").rstrip())
        await asyncio.shield(self._closed)
        return _exit_reason(await self._running.wait(), tuple(self._log))

    async def end(self) -> None:
        """Close the socket, which ends the worker after its step; kill it if it does not. Safe to repeat."""
        if self._transport is not None:
            self._transport.close()
        if self._process is None:
            return
        try:
            async with asyncio.timeout(_END_WAIT_S):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End the worker now."""
        with contextlib.suppress(ProcessLookupError):
            self._running.kill()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if isinstance(frame, Stepped):
                self._on_step(frame)
            elif isinstance(frame, Unloadable):
                self._loaded.set_exception(Unusable(f"the model could not be loaded: {frame.message}"))
            elif not self._loaded.done():
                self._loaded.set_result(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._loaded.done():
            self._loaded.set_exception(EngineDied("the engine's process ended while it loaded the model"))
        self._loaded.exception()
        self._closed.set_result(None)


def _exit_reason(status: int, log: tuple[str, ...]) -> str:
    if status < 0:
        name = signal.Signals(-status).name
        hint = " (often for want of memory)" if status == -signal.SIGKILL else ""
        return f"its process was ended by {name}{hint}"
    last = next((line for line in reversed(log) if line.strip()), "")
    return f"its process ended with status {status}" + (f": {last}" if last else "")
