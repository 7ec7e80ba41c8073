"""Replicas as processes of this machine, each in a session of its own: they outlive the front door."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from nearstream.config.deployed import replica_variables
from nearstream.core.errors import Unusable
from nearstream.core.ports import Clock
from nearstream.core.replicas import Replica, ReplicaSpec
from nearstream.deploy import processes
from nearstream.deploy.runs import Run, Runs
from nearstream.deploy.watch import PATIENT, Patience, Watch
from nearstream.tasks import alongside

KILL_WAIT_S = 5.0

Command = Callable[[ReplicaSpec, str], list[str]]

_log = structlog.get_logger()


def serve_command(spec: ReplicaSpec, socket: str) -> list[str]:
    """`nearstream serve` under this interpreter; -P keeps the current folder out of the imports."""
    command = [sys.executable, "-P", "-m", "nearstream", "serve", *([spec.model] if spec.model else [])]
    command += ["--uds", socket, "--as", spec.persona]
    # Where LMI's model data holds the model, its settings name it.
    if spec.model or spec.persona != "lmi":
        command += ["--model-id", spec.requested_model]
    if spec.model_data:
        command += ["--model-data", spec.model_data, "--deployment", spec.deployment]
        command += [] if spec.unpacked else ["--no-unpack"]
    return [*command, "--version", spec.version] if spec.version else command


@dataclass(frozen=True, slots=True)
class _Watched:
    watch: Watch
    task: asyncio.Task[None]


class LocalDeployer:
    """A Deployer. `environment` is what every replica inherits, under what its container may set.

    `clock` is monotonic, and one for all processes of a boot.

    `notify` is called whenever a replica changes its state. Leaving the context leaves replicas running.
    """

    def __init__(
        self,
        home: Path,
        *,
        environment: Mapping[str, str],
        clock: Clock,
        notify: Callable[[], None] = lambda: None,
        command: Command = serve_command,
        patience: Patience = PATIENT,
    ) -> None:
        self._runs = Runs(home)
        self._environment = environment
        self._clock = clock
        self._notify = notify
        self._command = command
        self._patience = patience
        self._watched: dict[str, _Watched] = {}
        self._open = AsyncExitStack()
        self._tasks: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Raises Unusable when the home's folders cannot be made."""
        self._runs.prepare()
        self._tasks = await self._open.enter_async_context(alongside())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for replica_id in list(self._watched):
            self._forget(replica_id)
        await self._open.__aexit__(kind, error, trace)

    async def start(self, spec: ReplicaSpec) -> Replica:
        """See Deployer. Raises Unusable when there is no such command, no space or no permission."""
        replica_id = f"r-{secrets.token_hex(5)}"
        socket, log = self._runs.socket(replica_id), self._runs.log(spec, replica_id)
        found = replica_variables(self._environment, dict(spec.environment))
        environment = {"PYTHONUNBUFFERED": "1", **found.variables}
        pid = processes.spawn(self._command(spec, socket), environment, log=log)
        run = Run(
            id=replica_id,
            spec=spec,
            pid=pid,
            birth=_birth(pid),
            socket=socket,
            log=str(log),
            started_at=self._clock(),
        )
        try:
            self._runs.write(run)
        except Unusable:
            processes.kill_group(pid, run.birth)
            await asyncio.to_thread(processes.reap, pid, wait=True)
            raise
        _log.info(
            "replica started", replica=replica_id, endpoint=spec.endpoint, variant=spec.variant, pid=pid
        )
        return self._watch(run).replica

    async def stop(self, replica_id: str, *, grace_s: float) -> None:
        """See Deployer."""
        watch = self._found(replica_id)
        if watch is None:
            self._forget(replica_id)
            return
        run = watch.run
        watch.drain()
        self._remember(watch.run)
        processes.terminate(run.pid, run.birth)
        if not await _exits(watch, within_s=grace_s):
            _log.warning("replica killed after its grace", replica=replica_id, grace_s=grace_s)
        # What it left behind in its session goes too, also when it went by itself.
        processes.kill_group(run.pid, run.birth)
        await _exits(watch, within_s=KILL_WAIT_S)
        if not watch.exited.is_set() and processes.is_alive(run.pid, run.birth):
            _log.error("replica cannot be killed", replica=replica_id, pid=run.pid)
            return
        self._runs.remove(run)
        self._forget(replica_id)

    async def observe(self) -> Sequence[Replica]:
        """See Deployer. Quick: replicas are followed in the background; unknown ones are pinged."""
        ids = self._runs.ids()
        for gone in self._watched.keys() - ids:
            self._forget(gone)
        unknown = [run for run in map(self._runs.read, ids - self._watched.keys()) if run]
        async with asyncio.TaskGroup() as looks:
            for run in unknown:
                looks.create_task(self._watch(run).look())
        return [self._watched[known].watch.replica for known in sorted(self._watched)]

    async def stop_all(self, *, grace_s: float) -> int:
        """See Deployer."""
        try:
            ids = [replica.id for replica in await self.observe()]
        except Unusable as error:  # those that are known at least
            _log.error("replicas cannot be looked for", error=str(error))
            ids = list(self._watched)
        async with alongside() as stops:
            for replica_id in ids:
                stops.create_task(self.stop(replica_id, grace_s=grace_s))
        self._runs.remove_sockets()
        return len(ids)

    def _found(self, replica_id: str) -> Watch | None:
        """None for a replica that is gone. Raises Unusable when that cannot be told."""
        watched = self._watched.get(replica_id)
        if watched is not None and self._runs.has(replica_id):
            return watched.watch
        run = self._runs.read(replica_id)
        return None if run is None else self._watch(run)

    def _watch(self, run: Run) -> Watch:
        assert self._tasks is not None  # noqa: S101  # the context was entered
        watch = Watch(run, clock=self._clock, notify=self._notify, patience=self._patience)
        self._watched[run.id] = _Watched(watch, self._tasks.create_task(watch.follow()))
        return watch

    def _forget(self, replica_id: str) -> None:
        watched = self._watched.pop(replica_id, None)
        if watched:
            watched.task.cancel()
            watched.watch.close()

    def _remember(self, run: Run) -> None:
        try:
            self._runs.write(run)
        except Unusable as error:
            _log.warning("a draining replica cannot be noted", replica=run.id, error=str(error))


def _birth(pid: int) -> str:
    """Raises Unusable, and ends the process, when it could never be told from another."""
    try:
        return processes.birth_of(pid) or ""
    except OSError as error:
        os.kill(pid, signal.SIGKILL)  # a child that nobody has waited for: the pid is its
        processes.reap(pid, wait=True)
        raise Unusable(f"A replica cannot be followed: {error.strerror}.") from error


async def _exits(watch: Watch, *, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await watch.exited.wait()
    except TimeoutError:
        return False
    return True
