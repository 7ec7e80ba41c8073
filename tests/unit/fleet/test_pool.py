"""The pool counts, keeps sessions together, waits for a restart, and leaves broken replicas alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from tests.unit.fleet.fleets import endpoint, replica, spec, variant

from nearstream.core.endpoints import Endpoint, EndpointStatus
from nearstream.core.errors import Missing, NotReady, Overloaded
from nearstream.core.replicas import Replica, ReplicaState
from nearstream.fleet.pool import Pool
from nearstream.fleet.snapshot import Fleet


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Site:
    """A pool and the fleet it is shown."""

    def __init__(self, *replicas: Replica, of: Endpoint | None = None, waiting_at_most: int = 4) -> None:
        self.clock = Clock()
        self.pool = Pool(random=Random(7).random, clock=self.clock, waiting_at_most=waiting_at_most)
        self.show(*replicas, of=of)

    def show(self, *replicas: Replica, of: Endpoint | None = None) -> None:
        self.pool.update(Fleet.of([of or endpoint()], replicas, self.clock()))

    async def chosen(self, variant: str | None = None, session: str | None = None, wait_s: float = 0) -> str:
        async with self.pool.lease("chat", variant, session, wait_s=wait_s) as lease:
            return lease.replica.id


async def until_waiting(pool: Pool, count: int) -> None:
    for _ in range(1000):
        if pool.waiting >= count:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"{pool.waiting} wait, not {count}")


async def test_a_lease_counts_until_it_is_left() -> None:
    site = Site(replica("a"))
    async with site.pool.lease("chat") as lease:
        assert lease.variant == "AllTraffic"
        assert site.pool.in_flight("a") == 1
    assert site.pool.in_flight("a") == 0


async def test_a_lease_that_fails_counts_no_longer() -> None:
    site = Site(replica("a"))

    async def fail() -> None:
        async with site.pool.lease("chat"):
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert site.pool.in_flight("a") == 0


async def test_the_least_busy_replica_is_next() -> None:
    site = Site(replica("a"), replica("b"))
    async with site.pool.lease("chat") as first, site.pool.lease("chat") as second:
        assert {first.replica.id, second.replica.id} == {"a", "b"}
        async with site.pool.lease("chat") as third:
            assert site.pool.in_flight(third.replica.id) == 2


@pytest.mark.parametrize("state", [ReplicaState.STARTING, ReplicaState.DRAINING, ReplicaState.DEAD])
async def test_only_ready_replicas_are_leased(state: ReplicaState) -> None:
    site = Site(replica("a", state), replica("b"))
    assert await site.chosen() == "b"
    site.show(replica("a", state))
    with pytest.raises(NotReady, match="endpoint chat is ready; it is InService"):
        await site.chosen()


async def test_an_unknown_endpoint_or_variant_is_missing() -> None:
    site = Site(replica("a"))
    with pytest.raises(Missing, match='no endpoint "none"'):
        await site.pool.lease("none").__aenter__()
    with pytest.raises(Missing, match="no production variant B"):
        await site.chosen("B")


async def test_an_endpoint_that_is_being_deleted_leases_nothing() -> None:
    site = Site(replica("a"), of=endpoint(EndpointStatus.DELETING))
    with pytest.raises(NotReady, match="Deleting"):
        await site.chosen(wait_s=10)


async def test_variants_are_chosen_by_their_weights() -> None:
    of = endpoint(variants=(variant("A", 3.0), variant("B", 1.0), variant("C", 0.0)))
    site = Site(*(replica(name, of=spec(name)) for name in "ABC"), of=of)
    count = Counter([await site.chosen() for _ in range(4000)])
    assert set(count) == {"A", "B"}
    assert 0.71 < count["A"] / 4000 < 0.79
    assert await site.chosen("C") == "C"


async def test_a_variant_without_a_ready_replica_gets_no_traffic() -> None:
    of = endpoint(variants=(variant("A", 100.0), variant("B", 1.0)))
    site = Site(replica("A", ReplicaState.DEAD, of=spec("A")), replica("B", of=spec("B")), of=of)
    assert await site.chosen() == "B"


async def test_while_an_update_replaces_the_variants_the_old_ones_answer() -> None:
    of = endpoint(EndpointStatus.UPDATING, (variant("New"),))
    old, new = replica("old", of=spec("Old")), replica("new", ReplicaState.STARTING, of=spec("New"))
    site = Site(old, new, of=of)
    assert await site.chosen() == "old"
    site.show(old, replica("new", of=spec("New")), of=of)
    assert await site.chosen() == "new"


async def test_a_session_stays_on_its_replica_while_that_lives() -> None:
    site = Site(replica("a"), replica("b"))
    first = await site.chosen(session="s")
    site.show(*(replica(name) for name in "abcdefgh"))
    assert {await site.chosen(session="s") for _ in range(5)} == {first}
    site.show(*(replica(name) for name in "abcdefgh" if name != first))
    second = await site.chosen(session="s")
    assert second != first
    assert await site.chosen(session="s") == second


async def test_a_session_goes_where_it_was_opened_until_it_is_closed() -> None:
    site = Site(*(replica(name) for name in "abcdefgh"))
    async with site.pool.lease("chat") as lease:
        site.pool.join("chat", "s", lease.replica)
    assert {await site.chosen(session="s") for _ in range(8)} == {lease.replica.id}
    site.pool.part("chat", "s")
    site.pool.part("chat", "s")
    others = {await site.chosen(session=f"t{number}") for number in range(50)}
    assert len(others) > 1


async def test_a_session_stays_on_its_variant() -> None:
    of = endpoint(variants=(variant("A"), variant("B")))
    site = Site(*(replica(name, of=spec(name)) for name in "AB"), of=of)
    for session in map(str, range(20)):
        assert len({await site.chosen(session=session) for _ in range(5)}) == 1


async def test_sessions_are_spread() -> None:
    site = Site(replica("a"), replica("b"))
    count = Counter([await site.chosen(session=str(number)) for number in range(400)])
    assert 130 < count["a"] < 270


async def test_a_caller_waits_for_a_replica_that_is_being_restarted() -> None:
    site = Site(replica("a", ReplicaState.DEAD))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(site.chosen(wait_s=30))
        await until_waiting(site.pool, 1)
        site.show(replica("b", ReplicaState.STARTING))
        await asyncio.sleep(0)
        assert not waiting.done()
        site.show(replica("b"))
    assert waiting.result() == "b"
    assert site.pool.waiting == 0


async def test_a_wait_ends_when_its_time_is_over() -> None:
    site = Site(replica("a", ReplicaState.DEAD))
    with pytest.raises(NotReady):
        await site.chosen(wait_s=0.01)


async def test_a_wait_ends_when_the_endpoint_goes() -> None:
    site = Site(replica("a", ReplicaState.DEAD))

    async def wait() -> None:
        with pytest.raises(NotReady, match="Deleting"):
            await site.chosen(wait_s=30)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(wait())
        await until_waiting(site.pool, 1)
        site.show(of=endpoint(EndpointStatus.DELETING))


async def test_nobody_waits_for_an_endpoint_that_is_still_being_created() -> None:
    site = Site(of=endpoint(EndpointStatus.CREATING))
    with pytest.raises(NotReady, match="Creating"):
        await site.chosen(wait_s=30)


async def test_too_many_that_wait_are_refused() -> None:
    site = Site(replica("a", ReplicaState.DEAD), waiting_at_most=2)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(site.chosen(wait_s=30))
        await until_waiting(site.pool, 2)
        with pytest.raises(Overloaded, match="2 requests wait"):
            await site.chosen(wait_s=30)
        site.show(replica("a"))


async def test_a_broken_replica_is_left_alone_until_it_was_seen_ready_again() -> None:
    site = Site(replica("a"), replica("b"))
    site.pool.mark_broken("a")
    assert {await site.chosen() for _ in range(3)} == {"b"}
    site.clock.now += 1.0
    site.show(replica("a"), replica("b"))
    assert await site.chosen() == "b"
    site.clock.now += 5.0
    assert await site.chosen() == "b"
    site.show(replica("a"), replica("b"))
    assert await site.chosen() == "a"


async def test_idle_returns_when_the_last_request_is_done() -> None:
    site = Site(replica("a"))
    async with asyncio.timeout(5), asyncio.TaskGroup() as group, site.pool.lease("chat"):
        idle = group.create_task(site.pool.idle("a"))
        await asyncio.sleep(0)
        assert not idle.done()
    await site.pool.idle("a")


async def test_the_policy_never_sees_an_empty_choice() -> None:
    seen: list[int] = []

    def first(candidates: Sequence[Any], _session: str | None) -> Replica:
        seen.append(len(candidates))
        return candidates[0].replica

    pool = Pool(random=Random(7).random, clock=Clock(), policy=first)
    pool.update(Fleet.of([endpoint()], [replica("a")], 0.0))
    async with pool.lease("chat"):
        pass
    pool.update(Fleet.of([endpoint()], [], 0.0))
    with pytest.raises(NotReady):
        await pool.lease("chat").__aenter__()
    assert seen == [1]
