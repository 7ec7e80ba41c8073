"""The loop that makes what runs become what should run: observe, show the data plane, plan, apply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count

import structlog

from nearstream.core.endpoints import Endpoint
from nearstream.core.errors import Conflict, Missing, NearstreamError
from nearstream.core.ports import Clock, Deployer
from nearstream.core.replicas import NO_ADDRESS, Replica, ReplicaSpec, ReplicaState
from nearstream.fleet.pool import Pool
from nearstream.fleet.reconcile import Action, Forget, SetStatus, StartReplica, StopReplica, plan
from nearstream.fleet.records import Records
from nearstream.fleet.snapshot import Fleet
from nearstream.fleet.specs import Desired
from nearstream.fleet.starts import StartBudget

TICK_S = 1.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a controller works with. `desire`: what an endpoint needs; see `specs.desired`.

    `clock` is the deployer's and the pool's, which never goes back; `dates` gives the date, in seconds since
    the epoch, for the records (None: `clock` does that too).
    """

    store: Records
    deployer: Deployer
    pool: Pool
    desire: Callable[[Endpoint], Desired]
    clock: Clock
    dates: Clock | None = None


class Controller:
    """Runs the fleet until `run` is cancelled; whatever is running then goes on running."""

    def __init__(self, parts: Parts, *, wake: asyncio.Event, tick_s: float = TICK_S) -> None:
        """`wake` is set when a replica changed, so that nothing waits for the next tick."""
        self._parts = parts
        self._wake = wake
        self._tick_s = tick_s
        self._changes = parts.store.changes()
        self._stopping: set[str] = set()
        # Starts that failed, as dead replicas: they count like a crash, with the same back-off.
        self._failed_starts: dict[str, Replica] = {}
        self._numbers = count(1)
        self._problems: dict[str, str] = {}
        self._starts = StartBudget()
        self._held_back: set[ReplicaSpec] = set()

    async def run(self) -> None:
        """Reconciles at every change and tick. A failing store or endpoint is logged and tried again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relay_changes())
            while True:
                self._wake.clear()
                try:
                    await self._reconcile(group)
                except NearstreamError as error:
                    _log.error("fleet cannot be reconciled", error=str(error))
                await self._rest()

    async def refresh(self) -> None:
        """Shows the data plane what is there now, without changing anything."""
        await self._look()

    async def _reconcile(self, group: asyncio.TaskGroup) -> None:
        desired, replicas = await self._look()
        instances = {wanted.spec: wanted.instances for one in desired for wanted in one.wanted}
        for action in plan(desired, replicas, self._parts.clock()):
            if isinstance(action, StartReplica) and not self._may_start(action.spec, instances):
                continue
            try:
                await self._apply(action, group)
            except (Conflict, Missing):
                # Someone changed the record meanwhile: the next round plans with what is there then.
                self._wake.set()
            except NearstreamError as error:
                _log.error("action failed", action=type(action).__name__, error=str(error))

    async def _look(self) -> tuple[list[Desired], list[Replica]]:
        began = self._parts.clock()
        endpoints = await self._parts.store.list(Endpoint)
        replicas = [*await self._parts.deployer.observe(), *self._failed_starts.values()]
        replicas = [self._as_stopping(replica) for replica in replicas]
        self._parts.pool.update(Fleet.of(endpoints, replicas, began))
        desired = [self._parts.desire(endpoint) for endpoint in endpoints]
        self._report_problems(desired)
        return desired, replicas

    async def _apply(self, action: Action, group: asyncio.TaskGroup) -> None:
        match action:
            case StartReplica(spec):
                await self._start(spec)
            case StopReplica():
                self._begin_stop(action, group)
            case SetStatus(endpoint, status, reason):
                now = (self._parts.dates or self._parts.clock)()
                changed = replace(endpoint, status=status, failure_reason=reason, modified_at=now)
                # The data plane first: who reads InService from the record may invoke in the same moment.
                self._parts.pool.update(self._parts.pool.fleet.with_endpoint(changed))
                await self._parts.store.replace(endpoint, changed)
                _log.info("endpoint changed", endpoint=endpoint.name, status=status.value, reason=reason)
            case Forget(endpoint):
                await self._parts.store.delete(Endpoint, endpoint.name)
                _log.info("endpoint deleted", endpoint=endpoint.name)

    def _may_start(self, spec: ReplicaSpec, instances: Mapping[ReplicaSpec, int]) -> bool:
        if self._starts.take(spec, instances=instances.get(spec, 1), now=self._parts.clock()):
            self._held_back.discard(spec)
            return True
        if spec not in self._held_back:
            self._held_back.add(spec)
            _log.warning("too many starts in a minute", endpoint=spec.endpoint, variant=spec.variant)
        return False

    async def _start(self, spec: ReplicaSpec) -> None:
        try:
            await self._parts.deployer.start(spec)
        except NearstreamError as error:
            _log.error("replica cannot be started", endpoint=spec.endpoint, error=str(error))
            self._remember_failed_start(spec, str(error))
        self._wake.set()

    def _remember_failed_start(self, spec: ReplicaSpec, reason: str) -> None:
        now = self._parts.clock()
        replica_id = f"failed-{next(self._numbers)}"
        self._failed_starts[replica_id] = Replica(
            id=replica_id,
            spec=spec,
            state=ReplicaState.DEAD,
            address=NO_ADDRESS,
            handle="",
            started_at=now,
            exit_reason=reason,
        )

    def _begin_stop(self, stop: StopReplica, group: asyncio.TaskGroup) -> None:
        """Stops in the background: draining one replica must not hold up the others."""
        if self._failed_starts.pop(stop.id, None) is not None:
            self._wake.set()
        elif stop.id not in self._stopping:
            self._stopping.add(stop.id)
            group.create_task(self._stop(stop))

    async def _stop(self, stop: StopReplica) -> None:
        _log.info("replica stops", replica=stop.id, why=stop.why)
        try:
            if stop.grace_s > 0:
                await self._drain(stop)
            await self._parts.deployer.stop(stop.id, grace_s=stop.grace_s)
        except NearstreamError as error:
            _log.error("replica cannot be stopped", replica=stop.id, error=str(error))
        finally:
            self._stopping.discard(stop.id)
            self._wake.set()

    async def _drain(self, stop: StopReplica) -> None:
        """First no new work, then what is under way ends, and only then does the replica hear of it."""
        await self.refresh()
        try:
            async with asyncio.timeout(stop.grace_s):
                await self._parts.pool.idle(stop.id)
        except TimeoutError:
            _log.warning("replica still busy after its grace", replica=stop.id, grace_s=stop.grace_s)

    def _report_problems(self, desired: list[Desired]) -> None:
        problems = {one.endpoint.name: one.problem for one in desired if one.problem}
        for name, problem in problems.items() - self._problems.items():
            _log.warning("endpoint cannot run", endpoint=name, problem=problem)
        self._problems = problems

    def _as_stopping(self, replica: Replica) -> Replica:
        if replica.id in self._stopping and replica.state is not ReplicaState.DEAD:
            return replace(replica, state=ReplicaState.DRAINING)
        return replica

    async def _relay_changes(self) -> None:
        while True:
            await self._changes.wait()
            self._wake.set()

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._tick_s):
                await self._wake.wait()
