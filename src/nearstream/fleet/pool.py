"""Leases on ready replicas: counts what is in flight, keeps sessions together, waits for a restart."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nearstream.core.endpoints import EndpointStatus
from nearstream.core.errors import Missing, NotReady, Overloaded
from nearstream.core.ports import Clock
from nearstream.core.replicas import Replica
from nearstream.fleet.policies import Candidate, RoutingPolicy, by_weight, least_busy
from nearstream.fleet.snapshot import Fleet, Serving

# A replica that broke gets no call for at least so long; it may have been observed just before it broke.
BROKEN_S = 2.0
SESSIONS_KEPT = 10_000
WAITING_AT_MOST = 256

_SERVES = {
    EndpointStatus.IN_SERVICE,
    EndpointStatus.UPDATING,
    EndpointStatus.SYSTEM_UPDATING,
    EndpointStatus.ROLLING_BACK,
}


@dataclass(frozen=True, slots=True)
class Lease:
    """Leave to send one request to `replica`."""

    replica: Replica

    @property
    def variant(self) -> str:
        return self.replica.spec.variant


class Pool:
    """The ready replicas of every endpoint, as the last `update` showed them."""

    def __init__(
        self,
        *,
        random: Callable[[], float],
        clock: Clock,
        policy: RoutingPolicy = least_busy,
        waiting_at_most: int = WAITING_AT_MOST,
        broken_s: float = BROKEN_S,
    ) -> None:
        """`broken_s` is for how long at least a replica that broke is left alone; 0: not at all."""
        self._random = random
        self._clock = clock
        self._policy = policy
        self._waiting_at_most = waiting_at_most
        self._broken_s = broken_s
        self._fleet = Fleet()
        self._in_flight: Counter[str] = Counter()
        self._broken: dict[str, float] = {}
        self._sessions: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._waiting = 0
        self._changed = asyncio.Event()

    @property
    def fleet(self) -> Fleet:
        """What the last `update` showed."""
        return self._fleet

    def update(self, fleet: Fleet) -> None:
        """Show what the fleet looks like now; what is seen ready long enough after it broke counts again."""
        self._fleet = fleet
        known = {replica.id for serving in fleet.endpoints.values() for replica in serving.replicas}
        self._broken = {
            replica_id: at
            for replica_id, at in self._broken.items()
            if replica_id in known and fleet.observed_at < at + self._broken_s
        }
        self._tell()

    @asynccontextmanager
    async def lease(
        self, endpoint: str, variant: str | None = None, session: str | None = None, *, wait_s: float = 0.0
    ) -> AsyncIterator[Lease]:
        """A ready replica, its request counted as in flight until the context is left.

        While none is ready and the endpoint is in service, waits up to `wait_s` for one. Raises Missing for
        an endpoint or variant that is not there, NotReady, or Overloaded when too many wait already.
        """
        replica = self._choose(endpoint, variant, session)
        if replica is None:
            replica = await self._wait(endpoint, variant, session, wait_s)
        self._in_flight[replica.id] += 1
        try:
            yield Lease(replica)
        finally:
            self._in_flight[replica.id] -= 1
            if not self._in_flight[replica.id]:
                del self._in_flight[replica.id]
                self._tell()

    def join(self, endpoint: str, session: str, replica: Replica) -> None:
        """From now on the session's calls go to this replica, while it lives."""
        self._sessions[endpoint, session] = replica.id
        self._sessions.move_to_end((endpoint, session))
        if len(self._sessions) > SESSIONS_KEPT:
            self._sessions.popitem(last=False)

    def part(self, endpoint: str, session: str) -> None:
        """The session is over."""
        self._sessions.pop((endpoint, session), None)

    def mark_broken(self, replica_id: str) -> None:
        """Choose this replica no more until it has been observed ready again."""
        if self._broken_s > 0:
            self._broken[replica_id] = self._clock()

    @property
    def waiting(self) -> int:
        """Callers that wait now for a replica to become ready."""
        return self._waiting

    def in_flight(self, replica_id: str) -> int:
        return self._in_flight[replica_id]

    async def idle(self, replica_id: str) -> None:
        """Returns when nothing is in flight to the replica."""
        while self._in_flight[replica_id]:
            await self._changed.wait()

    async def _wait(self, endpoint: str, variant: str | None, session: str | None, wait_s: float) -> Replica:
        if wait_s > 0 and self._waiting >= self._waiting_at_most:
            raise Overloaded(f"{self._waiting} requests wait already for a replica to become ready.")
        self._waiting += 1
        try:
            async with asyncio.timeout(wait_s):
                while self._serving(endpoint).endpoint.status in _SERVES:
                    await self._changed.wait()
                    replica = self._choose(endpoint, variant, session)
                    if replica is not None:
                        return replica
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
        raise NotReady(f"No replica of the endpoint {endpoint} is ready; it is {self._status(endpoint)}.")

    def _choose(self, endpoint: str, variant: str | None, session: str | None) -> Replica | None:
        candidates = self._candidates(self._serving(endpoint), variant)
        if session is not None:
            kept = self._sessions.get((endpoint, session))
            for one in candidates:
                if one.replica.id == kept:
                    self._sessions.move_to_end((endpoint, session))
                    return one.replica
        if variant is None:
            candidates = self._of_one_variant(self._serving(endpoint), candidates, session)
        if not candidates:
            return None
        replica = self._policy(candidates, session)
        if session is not None:
            self.join(endpoint, session, replica)
        return replica

    def _candidates(self, serving: Serving, variant: str | None) -> list[Candidate]:
        if variant is not None and variant not in {one.name for one in serving.endpoint.variants}:
            raise Missing(f"The endpoint {serving.endpoint.name} has no production variant {variant}.")
        if serving.endpoint.status is EndpointStatus.DELETING:
            return []
        return [
            Candidate(replica, self._in_flight[replica.id])
            for replica in serving.ready
            if replica.id not in self._broken and variant in {None, replica.spec.variant}
        ]

    def _of_one_variant(
        self, serving: Serving, candidates: list[Candidate], session: str | None
    ) -> list[Candidate]:
        """Those of a variant chosen by weight among the variants that can answer now."""
        able = {one.replica.spec.variant for one in candidates}
        known = {variant.name for variant in serving.endpoint.variants}
        if not able & known:
            # An update took these variants away, and those that replace them are not ready yet.
            return candidates
        variants = [variant for variant in serving.endpoint.variants if variant.name in able]
        chosen = by_weight(variants, session, self._random)
        return [one for one in candidates if chosen is not None and one.replica.spec.variant == chosen.name]

    def _serving(self, endpoint: str) -> Serving:
        serving = self._fleet.endpoints.get(endpoint)
        if serving is None:
            raise Missing(f'There is no endpoint "{endpoint}".')
        return serving

    def _status(self, endpoint: str) -> str:
        return self._serving(endpoint).endpoint.status

    def _tell(self) -> None:
        """Wakes all that wait now; each looks again for itself."""
        self._changed.set()
        self._changed = asyncio.Event()
