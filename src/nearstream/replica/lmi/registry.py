"""The models of one LMI server by name: loading, ready, failed; registered and taken away while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum

import structlog

from nearstream.core.errors import Conflict, Missing, NearstreamError, NotReady, Overloaded, Unusable
from nearstream.core.ports import Clock
from nearstream.replica.lmi.served import Opener, Served, Source
from nearstream.tasks import alongside

MODELS_MOST = 32
LEAVE_GRACE_S = 30.0

_log = structlog.get_logger(__name__)


class Status(StrEnum):
    """Of a registration, in DJL's words."""

    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"


class Registered:
    """One model under its name, and what became of its loading."""

    def __init__(self, source: Source, registered_at: float) -> None:
        self.source = source
        self.registered_at = registered_at
        self.status = Status.PENDING
        self.error: NearstreamError | None = None
        self._served: Served | None = None
        self._settled = asyncio.Event()
        self._leaving = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._calls = 0

    @property
    def served(self) -> Served | None:
        """None before it is loaded, and when it could not be."""
        return self._served

    @contextmanager
    def using(self) -> Iterator[Served]:
        """What answers, held for one call. Raises NotReady."""
        if self._served is None or self._leaving.is_set():
            raise NotReady(f"Model is not ready: {self.source.name}")
        self._calls += 1
        self._idle.clear()
        try:
            yield self._served
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def settled(self) -> None:
        """Wait until it is loaded. Raises what kept it from that."""
        await self._settled.wait()
        if self.error is not None:
            raise self.error

    async def hold(self, opener: Opener) -> None:
        """Load it and keep it until it is told to leave and its calls have ended."""
        try:
            async with opener(self.source) as served:
                self._served, self.status = served, Status.READY
                self._settled.set()
                await self._leaving.wait()
                await self._emptied()
        except NearstreamError as error:
            self.error, self.status = error, Status.FAILED
            _log.error("model could not be loaded", model=self.source.name, error=str(error))
        except Exception as error:  # noqa: BLE001 - one model's trouble must not end the others
            self.error, self.status = Unusable(f"{self.source.name} broke: {error}"), Status.FAILED
            _log.exception("model broke unexpectedly", model=self.source.name)
        finally:
            self._served = None
            self._settled.set()

    def leave(self) -> None:
        """Take no more calls."""
        self._leaving.set()

    async def _emptied(self) -> None:
        try:
            async with asyncio.timeout(LEAVE_GRACE_S):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("calls cut off", model=self.source.name, calls=self._calls)


class Registry:
    """`run` must be entered before anything is registered."""

    def __init__(self, opener: Opener, clock: Clock) -> None:
        self._opener = opener
        self._clock = clock
        self._models: dict[str, list[Registered]] = {}
        self._turns: dict[str, int] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._draining = False

    @asynccontextmanager
    async def run(self, startup: Sequence[Source]) -> AsyncIterator[None]:
        """Load the models of the start, all at once, and keep those there are until the block is left.

        Raises what keeps one of the first from loading.
        """
        async with alongside() as tasks:
            self._tasks = tasks
            try:
                first = [self.register(source) for source in startup]
                for model in first:
                    await model.settled()
                yield
            finally:
                for model in self.all():
                    model.leave()

    def register(self, source: Source) -> Registered:
        """Begin to load it. Raises Conflict for a name and version that is taken, Overloaded for too many."""
        known = self._models.get(source.name, [])
        if any(model.source.version == source.version for model in known):
            raise Conflict(f"Workflow {source.name} is already registered.")
        if len(self.all()) >= MODELS_MOST:
            raise Overloaded(f"{MODELS_MOST} models are registered, the most this server takes")
        if self._tasks is None:
            raise NotReady("the server is not running yet")
        model = Registered(source, self._clock())
        self._models.setdefault(source.name, []).append(model)
        self._tasks.create_task(model.hold(self._opener))
        return model

    def unregister(self, name: str, version: str | None = None) -> None:
        """Take a model, or one version of it, away; calls under way end first. Raises Missing."""
        for model in self.versions(name, version):
            model.leave()
            self._models[name].remove(model)
        if not self._models[name]:
            del self._models[name]

    def all(self) -> list[Registered]:
        """By name."""
        return [model for name in sorted(self._models) for model in self._models[name]]

    def versions(self, name: str, version: str | None = None) -> list[Registered]:
        """Every version of a model, or the one that is named. Raises Missing."""
        known = self._models.get(name, [])
        found = [model for model in known if version in {None, model.source.version}]
        if not found:
            raise Missing(f"Model or workflow not found: {name}")
        return found

    def choose(self, name: str, version: str | None = None) -> Registered:
        """Whom a call goes to: its version, or each of them in turn. Raises Missing, NotReady."""
        if self._draining:
            raise NotReady(f"Model is not ready: {name}")
        found = self.versions(name, version)
        turn = self._turns[name] = self._turns.get(name, -1) + 1
        return found[turn % len(found)]

    def only(self) -> str | None:
        """The one model of the start; None where there is none, or more than one."""
        names = {model.source.name for model in self.all() if model.source.at_startup}
        return names.pop() if len(names) == 1 else None

    def drain(self) -> None:
        """Take no more calls."""
        self._draining = True
