"""One process with a user's handler: sends it calls, receives its output, tells why it ended."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import structlog

from nearstream.core.errors import HandlerFailed, NotReady, Unusable
from nearstream.core.handlers import HandlerHead, HandlerInput
from nearstream.handlers.calls import Call
from nearstream.handlers.runtime.djl_python._worker import frames
from nearstream.handlers.settings import HandlerSettings
from nearstream.workers.process import Exit, Program, WorkerProcess

_WORKER = Path(__file__).with_name("runtime") / "worker.py"
_END_WAIT_S = 4.0

GiveBack = Callable[[Sequence[Call]], None]
_log = structlog.get_logger(__name__)


class HandlerProcess:
    """A `Listener` of a worker. Its calls get what it sends as that is read, with no task in between."""

    def __init__(self, settings: HandlerSettings, python: Path, give_back: GiveBack) -> None:
        self._settings = settings
        self._give_back = give_back
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._ids = itertools.count(1)
        self._calls: dict[int, Call] = {}
        self._loaded: asyncio.Future[Mapping[str, Any]] = self._loop.create_future()
        program = Program(
            _command(settings, python),
            directory=settings.directory,
            environment=_environment(settings, python),
            end_wait_s=_END_WAIT_S,
        )
        self._process = WorkerProcess(program, self, frames.decode)
        self.ready = False
        self.calls: int | None = 1
        """How many calls it takes at once; None: as many as the server gives it."""
        self.functions: frozenset[str] = frozenset()
        """What its module has beside the handler."""
        self.started_at = 0.0
        """Seconds since the epoch."""

    @classmethod
    async def start(cls, settings: HandlerSettings, python: Path, give_back: GiveBack) -> HandlerProcess:
        """Start one under the interpreter `python`; it loads while this returns. Raises Unusable.

        `give_back` takes calls that it was given and had not begun when it died.
        """
        handler = cls(settings, python, give_back)
        try:
            await handler._process.start()
        except OSError as error:
            raise Unusable(f"the handler's process cannot be started: {error}") from error
        with suppress(psutil.Error):
            handler.started_at = psutil.Process(handler.pid).create_time()
        handler._process.send(frames.encode_json(frames.LOAD, 0, _wanted(settings)))
        return handler

    @property
    def pid(self) -> int:
        """The process's id, which is its group's."""
        return self._process.pid

    @property
    def gone(self) -> bool:
        """Whether the process has ended, and its calls with it."""
        return self._process.gone

    @property
    def busy(self) -> int:
        """How many calls it has."""
        return len(self._calls)

    async def loaded(self) -> None:
        """Wait for the first call, which loads the model. Raises Unusable with what went wrong."""
        settings = self._settings
        try:
            async with asyncio.timeout(settings.loading_timeout_s):
                about = await asyncio.shield(self._loaded)
        except TimeoutError:
            raise Unusable(
                f"the handler of {settings.model} did not load within {settings.loading_timeout_s:g} s "
                "(model_loading_timeout)"
            ) from None
        except NotReady as error:
            raise Unusable(f"the handler of {settings.model} could not be loaded: {error}") from None
        self.calls, self.functions = about["calls"], frozenset(about["functions"])
        self.ready = True

    async def ask(self, given: HandlerInput) -> tuple[HandlerHead, bytes]:
        """The answer to one call, whole. Raises HandlerFailed."""
        call, limit_s = Call(given), self._settings.loading_timeout_s
        if not self.submit([call]):
            raise HandlerFailed("its process is gone")
        parts: list[HandlerHead | bytes] = []
        try:
            async with asyncio.timeout(limit_s):
                while (output := await call.next()) is not None:
                    parts.append(output)
                    call.taken(self._loop.time())
        except TimeoutError:
            self.cancel(call)
            raise HandlerFailed(
                f"`{given.function}` did not answer within {limit_s:g} s (model_loading_timeout)"
            ) from None
        head, body = parts[0], [part for part in parts if isinstance(part, bytes)]
        assert isinstance(head, HandlerHead)  # noqa: S101 - it comes first
        return head, b"".join(body)

    def submit(self, calls: Sequence[Call]) -> bool:
        """Hand over a call, or a batch of them; False when the process is gone."""
        if not self.ready:
            return False
        credit = self._settings.ahead_chunks
        members = []
        for call in calls:
            number = next(self._ids)
            self._calls[number] = call
            call.submitted(self._loop.time(), credit=credit, return_credit=partial(self._credit, number))
            given = call.given
            members.append(frames.Member(number, given.content, dict(given.properties), given.function))
        self._process.send(frames.encode_call(members, credit=credit))
        return True

    def cancel(self, call: Call) -> None:
        """The call's reader has left, or its time is over."""
        for number, held in self._calls.items():
            if held is call:
                self._process.send(frames.encode(frames.CANCEL, number))

    async def exit_reason(self) -> str:
        """Wait until the process is gone; why it went, in a few words."""
        return _reason(await self._process.ended())

    async def end(self) -> None:
        """Close the socket, which ends the process; kill it if it does not. Safe to repeat."""
        self.ready = False
        self._closing = True
        await self._process.end()

    def kill(self, why: str) -> None:
        """End it now, with what it started."""
        self.ready = False
        self._process.kill(why)

    def received(self, frame: frames.Frame) -> None:
        """See `Listener`."""
        if frame.kind == frames.READY:
            self._loaded.set_result(frames.decode_json(frame.load))
        elif frame.kind == frames.REFUSED:
            reason = frames.decode_json(frame.load)["message"]
            self._loaded.set_exception(Unusable(f"the handler of {self._settings.model}: {reason}"))
        elif (call := self._calls.get(frame.call)) is not None:
            self._advance(frame, call)

    def printed(self, stream: str, line: str) -> None:
        """See `Listener`: what the user's code prints goes to the log."""
        _log.info("handler output", model=self._settings.model, pid=self.pid, stream=stream, line=line)

    def disconnected(self) -> None:
        """See `Listener`."""
        self.ready = False

    def ended(self, end: Exit) -> None:
        """See `Listener`: calls that it had not begun go to another process, the others fail."""
        self.ready = False
        reason = _reason(end)
        if not self._loaded.done():
            self._loaded.set_exception(NotReady(reason))
        self._loaded.exception()  # retrieved here, so that a loop with no one waiting does not report it
        calls, self._calls = tuple(self._calls.values()), {}
        again = [call for call in calls if call.may_go_again and not self._closing]
        for call in calls:
            if call in again:
                call.changed.set()
            else:
                call.end(HandlerFailed(f"the handler's process ended while it worked on this call: {reason}"))
        self._give_back(again)

    def _advance(self, frame: frames.Frame, call: Call) -> None:
        if frame.kind == frames.CHUNK:
            call.advance(frame.load, self._loop.time())
        elif frame.kind == frames.BEGUN:
            call.started = True
        elif frame.kind == frames.HEAD:
            call.advance(HandlerHead(**frames.decode_json(frame.load)), self._loop.time())
        else:
            del self._calls[frame.call]
            failed = frame.kind == frames.FAILED
            call.end(HandlerFailed(frames.decode_json(frame.load)["error"]) if failed else None)

    def _credit(self, number: int) -> None:
        if number in self._calls:
            self._process.send(frames.encode_credit(number, 1))


def _reason(end: Exit) -> str:
    return end.why or f"it {end.how}"


def _command(settings: HandlerSettings, python: Path) -> tuple[str, ...]:
    command = (str(python), "-P", "-B", "-u", str(_WORKER))
    if settings.confinement is None:
        return command
    brought = (python.parent.parent,)
    return settings.confinement.command(command, readable=brought, writable=(settings.directory,))


def _environment(settings: HandlerSettings, python: Path) -> dict[str, str]:
    """What the process inherits; programs that its requirements brought are found first."""
    path = settings.environment.get("PATH", os.defpath)
    own = {} if settings.confinement is None else settings.confinement.environment()
    return {**settings.environment, **own, "PATH": f"{python.parent}{os.pathsep}{path}"}


def _wanted(settings: HandlerSettings) -> dict[str, object]:
    return {
        "model_dir": str(settings.directory.resolve()),
        "entry_point": settings.entry_point,
        "handler": settings.handler,
        "properties": dict(settings.properties),
    }
