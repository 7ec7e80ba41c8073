"""The engine's end of its worker process: sends it requests, waits until it has loaded, explains its end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine

from nearstream.core.errors import EngineDied, Unusable
from nearstream.engines.openvino.frames import (
    AdapterTried,
    FromWorker,
    Load,
    Loaded,
    Stepped,
    ToWorker,
    Unloadable,
    decode_from_worker,
    encode,
)
from nearstream.workers.process import Exit, Program, WorkerProcess

_PROGRAM = Program((sys.executable, "-P", "-m", "nearstream.engines.openvino.worker"))


class EngineProcess:
    """A `Listener` of one worker process. Steps go to `on_step` as they are read, with no task in between."""

    def __init__(
        self, on_step: Callable[[Stepped], None], on_adapter: Callable[[AdapterTried], None]
    ) -> None:
        self._on_step = on_step
        self._on_adapter = on_adapter
        self._loaded: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()
        self._process = WorkerProcess(_PROGRAM, self, decode_from_worker)
        self._last_line = ""

    @classmethod
    async def start(
        cls, load: Load, on_step: Callable[[Stepped], None], on_adapter: Callable[[AdapterTried], None]
    ) -> EngineProcess:
        """Start a worker on `load`; it loads while this returns."""
        engine = cls(on_step, on_adapter)
        await engine._process.start()
        engine.send(load)
        return engine

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def send(self, frame: ToWorker) -> None:
        """Hand a frame over; a worker that is gone does not get it."""
        self._process.send(encode(frame))

    async def loaded(self, *, timeout_s: float) -> Loaded:
        """Wait until it has loaded and generated once. Raises Unusable with its own reason."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._loaded)
        except TimeoutError:
            raise Unusable(f"the model did not load within {timeout_s:g} s") from None
        except EngineDied:
            raise Unusable(f"the model could not be loaded: {await self.gone()}") from None

    async def unless_ended(self, work: Coroutine[None, None, None]) -> None:
        """Wait for `work` that this worker does. Raises Unusable if it ends meanwhile."""
        doing, ended = asyncio.ensure_future(work), asyncio.ensure_future(self.gone())
        try:
            await asyncio.wait((doing, ended), return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise Unusable(f"the adapters could not be loaded again: {ended.result()}")
            doing.result()
        finally:
            doing.cancel()
            ended.cancel()

    async def gone(self) -> str:
        """Wait until the process is gone; why it went, in a few words."""
        return exit_reason(await self._process.ended(), self._last_line)

    async def end(self) -> None:
        """End the worker after its step; kill it if it does not. Safe to repeat."""
        await self._process.end()

    def kill(self) -> None:
        """End the worker now."""
        self._process.kill("")

    def received(self, frame: FromWorker) -> None:
        """See `Listener`."""
        if isinstance(frame, Stepped):
            self._on_step(frame)
        elif isinstance(frame, AdapterTried):
            self._on_adapter(frame)
        elif self._loaded.done():
            return
        elif isinstance(frame, Unloadable):
            self._loaded.set_exception(Unusable(f"the model could not be loaded: {frame.message}"))
        else:
            self._loaded.set_result(frame)

    def printed(self, stream: str, line: str) -> None:
        """See `Listener`: the last line explains a failure."""
        if stream == "stderr" and line.strip():
            self._last_line = line.strip()

    def disconnected(self) -> None:
        """See `Listener`."""
        if not self._loaded.done():
            self._loaded.set_exception(EngineDied("the engine's process ended while it loaded the model"))
        self._loaded.exception()  # retrieved here, so that a loop with no one waiting does not report it

    def ended(self, end: Exit) -> None:
        """See `Listener`."""


def exit_reason(end: Exit, last_line: str) -> str:
    """Why a process ended, from its exit status and the last line it wrote to stderr."""
    output = f": {last_line}" if end.status >= 0 and last_line else ""
    return f"its process {end.how}{output}"
