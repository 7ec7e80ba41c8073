"""The adapters that the engine's process holds, by name, and how many requests use each."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from nearstream.core.errors import Conflict, EngineDied, Missing, Unsupported, Unusable
from nearstream.engines.openvino.frames import AdapterTried, DropAdapter, LoadAdapter, ToWorker
from nearstream.engines.openvino.options import ENGINE

BASE = 0
"""The number that stands for no adapter."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Held:
    number: int
    weights: Path
    answers: int = 0
    unloaded: bool = False


class LoadedAdapters:
    """A name may be given again while answers are still made with the adapter that had it."""

    def __init__(self, send: Callable[[ToWorker], None]) -> None:
        self._send = send
        self._numbers = itertools.count(BASE + 1)
        self._held: dict[str, _Held] = {}
        self._loading: dict[str, int] = {}
        self._trials: dict[int, asyncio.Future[None]] = {}

    @property
    def names(self) -> frozenset[str]:
        """Those that answers can be made with."""
        return frozenset(self._held)

    async def load(self, name: str, weights: Path) -> None:
        """Have the process load and try it. Raises Conflict, Unusable or EngineDied."""
        if name in self._held or name in self._loading:
            raise Conflict(f"an adapter {name!r} is loaded already: unload it first, or take another name")
        number = self._loading[name] = next(self._numbers)
        try:
            await self._try(number, weights)
        except asyncio.CancelledError:
            self._send(DropAdapter(number))
            raise
        finally:
            del self._loading[name]
        self._held[name] = _Held(number, weights)

    async def load_again(self) -> None:
        """Load them in a new process; those that it refuses are forgotten."""
        for name, held in tuple(self._held.items()):
            held.number = next(self._numbers)
            try:
                await self._try(held.number, held.weights)
            except Unusable as error:
                _log.error("adapter lost", adapter=name, reason=str(error))
                del self._held[name]

    def unload(self, name: str) -> None:
        """Raises Missing."""
        held = self._held.pop(name, None)
        if held is None:
            raise Missing(f"there is no adapter {name!r}")
        held.unloaded = True
        self._release(held)

    def tried(self, frame: AdapterTried) -> None:
        """The process has loaded an adapter, or has not."""
        trial = self._trials.pop(frame.id, None)
        if trial is None or trial.done():
            return
        if frame.refusal is None:
            trial.set_result(None)
        else:
            trial.set_exception(Unusable(f"the adapter could not be loaded: {frame.refusal}"))

    def fail(self, error: EngineDied) -> None:
        """The process is gone: no trial comes to its end."""
        for trial in self._trials.values():
            if not trial.done():
                trial.set_exception(error)
        self._trials.clear()

    @contextmanager
    def held_for(self, name: str | None) -> Iterator[int]:
        """Hold an adapter for one answer, under its number. Raises Unsupported for one that is not there."""
        if name is None:
            yield BASE
            return
        held = self._held.get(name)
        if held is None:
            raise Unsupported("adapter", ENGINE, "no adapter of this name is loaded")
        held.answers += 1
        try:
            yield held.number
        finally:
            held.answers -= 1
            self._release(held)

    async def _try(self, number: int, weights: Path) -> None:
        trial = self._trials[number] = asyncio.get_running_loop().create_future()
        self._send(LoadAdapter(number, str(weights)))
        await trial

    def _release(self, held: _Held) -> None:
        if held.unloaded and not held.answers:
            self._send(DropAdapter(held.number))
