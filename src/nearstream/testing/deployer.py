"""Replicas inside this process: real model servers on real sockets, around a scripted engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from nearstream.core.errors import NearstreamError
from nearstream.core.ports import Clock, Engine
from nearstream.core.replicas import Replica, ReplicaSpec, ReplicaState, UnixSocket
from nearstream.testing.replicas import GRACE_S, serve_lmi, serve_tgi


@dataclass(slots=True)
class _Running:
    replica: Replica
    stop: asyncio.Event
    task: asyncio.Task[None]


class InProcessDeployer:
    """A Deployer. Every replica is the model server of its spec's image and release, around `engine`.

    `notify` is called whenever a replica changes its state. Leaving the context ends all replicas.
    """

    def __init__(
        self,
        folder: Path,
        engine: Callable[[], Engine],
        *,
        clock: Clock,
        dates: Clock,
        notify: Callable[[], None],
    ) -> None:
        """`clock` never goes back; `dates` tells the date."""
        self._folder = folder
        self._engine = engine
        self._clock = clock
        self._dates = dates
        self._notify = notify
        self._running: dict[str, _Running] = {}
        self._numbers = count(1)
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop_all(grace_s=GRACE_S)
        await self._tasks.__aexit__(None, None, None)

    async def start(self, spec: ReplicaSpec) -> Replica:
        """See Deployer."""
        replica_id = f"r-{next(self._numbers)}"
        socket = self._folder / f"{replica_id}.sock"
        replica = Replica(
            id=replica_id,
            spec=spec,
            state=ReplicaState.STARTING,
            address=UnixSocket(str(socket)),
            handle="in process",
            started_at=self._clock(),
        )
        stop = asyncio.Event()
        task = self._tasks.create_task(self._serve(replica_id, spec, socket, stop))
        self._running[replica_id] = _Running(replica, stop, task)
        return replica

    async def stop(self, replica_id: str, *, grace_s: float) -> None:
        """See Deployer."""
        running = self._running.get(replica_id)
        if running is None:
            return
        self._become(replica_id, ReplicaState.DRAINING)
        running.stop.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(grace_s, GRACE_S) + GRACE_S):
                await asyncio.shield(asyncio.wait([running.task]))
        running.task.cancel()
        await asyncio.wait([running.task])
        self._running.pop(replica_id, None)

    async def stop_all(self, *, grace_s: float) -> int:
        """See Deployer."""
        async with asyncio.TaskGroup() as stops:
            ids = list(self._running)
            for replica_id in ids:
                stops.create_task(self.stop(replica_id, grace_s=grace_s))
        return len(ids)

    async def observe(self) -> Sequence[Replica]:
        """See Deployer."""
        return [running.replica for running in self._running.values()]

    async def _serve(self, replica_id: str, spec: ReplicaSpec, socket: Path, stop: asyncio.Event) -> None:
        def ready() -> None:
            self._become(replica_id, ReplicaState.READY)

        try:
            if spec.persona == "lmi":
                await serve_lmi(spec, socket, self._engine, clock=self._dates, stop=stop, on_ready=ready)
            else:
                await serve_tgi(spec, socket, self._engine, stop=stop, on_ready=ready)
        except NearstreamError as error:
            self._become(replica_id, ReplicaState.DEAD, str(error))

    def _become(self, replica_id: str, state: ReplicaState, reason: str | None = None) -> None:
        running = self._running[replica_id]
        running.replica = replace(running.replica, state=state, exit_reason=reason, since=self._clock())
        self._notify()
