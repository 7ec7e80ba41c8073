"""Follows one replica's process: which state it is in, since when, and why it ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from nearstream.core.ports import Clock
from nearstream.core.replicas import UNFIT_EXIT, Replica, ReplicaState, UnixSocket
from nearstream.deploy import processes
from nearstream.deploy.ping import PING_TIMEOUT_S, Health, ping
from nearstream.deploy.runs import Run, outgrown, rotate, tail_of

READY_PING_S = 1.0
STARTING_PING_S = 0.1
SLOW_START_S = 30.0
SLOW_STARTING_PING_S = 0.5

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a replica that was ready may leave pings unanswered: a busy machine answers late now and then.

    After `silent_s` it gets no more work; after `hung_s` it counts as hung and is killed.
    """

    silent_s: float = 5.0
    hung_s: float = 60.0
    ping_s: float = PING_TIMEOUT_S


PATIENT = Patience()


class Watch:
    """One run's state now in `replica`; `notify` is called at every change of state. `clock` is monotonic."""

    def __init__(self, run: Run, *, clock: Clock, notify: Callable[[], None], patience: Patience) -> None:
        self.run = run
        self.replica = Replica(
            id=run.id,
            spec=run.spec,
            state=ReplicaState.DRAINING if run.stopping else ReplicaState.STARTING,
            address=UnixSocket(run.socket),
            handle=f"pid {run.pid}",
            # One of an earlier boot was started before this clock began.
            started_at=min(run.started_at, clock()),
        )
        self.exited = asyncio.Event()
        self._clock = clock
        self._notify = notify
        self._patience = patience
        self._was_ready = False
        self._ended: str | None = None
        self._silent_since: float | None = None
        self._pidfd = self._listen()

    async def follow(self) -> None:
        """Looks again and again until the process is dead."""
        while not self.exited.is_set():
            await asyncio.sleep(self._interval_s())
            await self.look()
            if outgrown(self.run.log):
                await asyncio.to_thread(rotate, self.run.log)

    async def look(self) -> None:
        """Brings `replica` up to date."""
        self._look_for_death()
        if self.replica.state not in {ReplicaState.STARTING, ReplicaState.READY}:
            return
        health = await ping(self.replica.address, timeout_s=self._patience.ping_s)
        self._look_for_death()
        if self.replica.state in {ReplicaState.STARTING, ReplicaState.READY}:
            self._judge(health)

    def drain(self) -> None:
        """From now on the replica is on its way out."""
        self.run = replace(self.run, stopping=True)
        if self.replica.state is not ReplicaState.DEAD:
            self._enter(ReplicaState.DRAINING)

    def close(self) -> None:
        """Stops listening; the process is left as it is."""
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _judge(self, health: Health) -> None:
        if health is Health.UNKNOWN:
            return  # the replica stays what it was seen to be
        if health is not Health.SILENT:
            self._silent_since = None
            self._was_ready = self._was_ready or health is Health.WELL
            self._enter(ReplicaState.READY if health is Health.WELL else ReplicaState.STARTING)
            return
        # By the loop's clock: it stands still while a laptop sleeps.
        now = asyncio.get_running_loop().time()
        self._silent_since = self._silent_since or now - self._patience.ping_s
        silent_s = now - self._silent_since
        if silent_s >= self._patience.silent_s:
            self._enter(ReplicaState.STARTING)
        if silent_s >= self._patience.hung_s and self._was_ready:
            processes.kill_group(self.run.pid, self.run.birth)
            self._ended = f"did not answer GET /ping for {silent_s:.0f} s and was killed"

    def _look_for_death(self) -> None:
        if not self.exited.is_set() and not processes.is_alive(self.run.pid, self.run.birth):
            self._end()

    def _end(self) -> None:
        # The group first: while the process is a zombie, no other can have its pid.
        processes.kill_group(self.run.pid, self.run.birth)
        ended = processes.reap(self.run.pid)
        self._bury(self._ended or ended or "is gone")

    def _bury(self, ended: str) -> None:
        tail = tail_of(self.run.log)
        reason = f"The process {ended}." + (f" The end of its log:\n{tail}" if tail else "")
        unfit = ended == f"exited with code {UNFIT_EXIT}"
        self.replica = replace(self.replica, exit_reason=reason, unfit=unfit)
        self.exited.set()
        self.close()
        self._enter(ReplicaState.DEAD)
        _log.info("replica ended", replica=self.run.id, endpoint=self.run.spec.endpoint, how=ended)

    def _enter(self, state: ReplicaState) -> None:
        if state is not self.replica.state:
            self.replica = replace(self.replica, state=state, since=self._clock())
            self._notify()

    def _interval_s(self) -> float:
        if self.replica.state is ReplicaState.READY:
            return READY_PING_S
        since = self.replica.started_at if self.replica.since is None else self.replica.since
        young = self._clock() - since < SLOW_START_S
        return STARTING_PING_S if young else SLOW_STARTING_PING_S

    def _listen(self) -> int | None:
        """Let the kernel report the process's end, where it can; elsewhere `follow` sees it soon enough."""
        if not hasattr(os, "pidfd_open"):
            return None
        try:
            pidfd = os.pidfd_open(self.run.pid)
        except OSError:
            return None
        if not processes.is_alive(self.run.pid, self.run.birth):  # it is of another process
            os.close(pidfd)
            return None
        asyncio.get_running_loop().add_reader(pidfd, self._on_exit)
        return pidfd

    def _on_exit(self) -> None:
        if not self.exited.is_set():
            self._end()
        self.close()
