"""The controller, on a real store and pool and a deployer that only pretends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tests.support.waiting import until
from tests.unit.fleet.fleets import endpoint, model, replica, spec

from nearstream.core.endpoints import Endpoint, EndpointStatus
from nearstream.core.errors import Missing, NotReady, Unusable
from nearstream.core.replicas import Replica, ReplicaSpec, ReplicaState
from nearstream.fleet.controller import Controller, Parts
from nearstream.fleet.pool import Pool
from nearstream.fleet.specs import Desired, desired
from nearstream.fleet.starts import STARTS
from nearstream.fleet.store import Store


class Pretender:
    """A Deployer whose replicas are ready at once, unless told otherwise; it tells of every change."""

    def __init__(self, wake: asyncio.Event, clock: Callable[[], float]) -> None:
        self.replicas: dict[str, Replica] = {}
        self.started = 0
        self.looks = 0
        self.refusal: str | None = None
        self.first_state = ReplicaState.READY
        self.held = asyncio.Event()
        self.held.set()
        self._wake = wake
        self._clock = clock

    async def start(self, spec: ReplicaSpec) -> Replica:
        self.started += 1
        if self.refusal:
            raise Unusable(self.refusal)
        made = replica(f"r-{self.started}", self.first_state, of=spec, started_at=self._clock())
        self.replicas[made.id] = made
        self._wake.set()
        return made

    async def stop(self, replica_id: str, *, grace_s: float) -> None:
        await self.held.wait()
        self.replicas.pop(replica_id, None)
        self._wake.set()

    async def stop_all(self, *, grace_s: float) -> int:
        count = len(self.replicas)
        self.replicas.clear()
        return count

    async def observe(self) -> list[Replica]:
        self.looks += 1
        return list(self.replicas.values())

    def become(self, replica_id: str, state: ReplicaState) -> None:
        self.replicas[replica_id] = replace(
            self.replicas[replica_id], state=state, exit_reason="It fell over."
        )
        self._wake.set()


class Clock:
    """Time that flies: each look is a tenth of a second later."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


class Site:
    def __init__(self, store: Store) -> None:
        clock, wake = Clock(), asyncio.Event()
        self.store = store
        self.deployer = Pretender(wake, clock)
        self.pool = Pool(random=Random(1).random, clock=clock)
        parts = Parts(store, self.deployer, self.pool, desire, clock)
        self.controller = Controller(parts, wake=wake, tick_s=0.01)

    async def until_status(self, status: EndpointStatus, name: str = "chat") -> Endpoint:
        def reached() -> bool:
            serving = self.pool.fleet.endpoints.get(name)
            return serving is not None and serving.endpoint.status is status

        await until(reached)
        return self.pool.fleet.endpoints[name].endpoint


def desire(of: Endpoint) -> Desired:
    aliases = [("tiiuae/falcon-7b-instruct", "builtin")]
    return desired(of, read_image=lambda image: (image, "0.9.3"), aliases=aliases)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        yield Site(store)


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(site.controller.run())
        yield
        task.cancel()


async def test_a_new_endpoint_comes_into_service_and_answers(site: Site) -> None:
    async with running(site):
        await site.store.create(endpoint(EndpointStatus.CREATING))
        stored = await site.until_status(EndpointStatus.IN_SERVICE)
        assert stored == await site.store.get(Endpoint, "chat")
        assert stored.modified_at > 1000
        async with site.pool.lease("chat") as lease:
            assert lease.replica.spec == spec()


async def test_a_deleted_endpoint_is_gone_when_its_replicas_are(site: Site) -> None:
    async with running(site):
        await site.store.create(endpoint(EndpointStatus.CREATING))
        stored = await site.until_status(EndpointStatus.IN_SERVICE)
        await site.store.replace(stored, replace(stored, status=EndpointStatus.DELETING))
        await until(lambda: not site.pool.fleet.endpoints)
        assert site.deployer.replicas == {}
        with pytest.raises(Missing):
            await site.store.get(Endpoint, "chat")


async def test_a_killed_replica_is_replaced_while_callers_wait(site: Site) -> None:
    async with running(site):
        await site.store.create(endpoint(EndpointStatus.CREATING))
        await site.until_status(EndpointStatus.IN_SERVICE)
        site.deployer.become("r-1", ReplicaState.DEAD)
        site.pool.mark_broken("r-1")
        async with site.pool.lease("chat", wait_s=20) as lease:
            assert lease.replica.id == "r-2"
        assert (await site.store.get(Endpoint, "chat")).status is EndpointStatus.IN_SERVICE


async def test_a_replica_that_keeps_dying_fails_its_endpoint(site: Site) -> None:
    site.deployer.first_state = ReplicaState.DEAD
    async with running(site):
        await site.store.create(endpoint(EndpointStatus.CREATING))
        failed = await site.until_status(EndpointStatus.FAILED)
    assert failed.failure_reason is not None
    assert "for production variant AllTraffic did not pass the ping health check" in failed.failure_reason
    assert site.deployer.started == 3


async def test_replicas_that_seem_to_vanish_are_not_replaced_without_bound(site: Site) -> None:
    async with running(site):
        await site.store.create(endpoint(EndpointStatus.CREATING))
        await site.until_status(EndpointStatus.IN_SERVICE)

        def vanish() -> bool:
            site.deployer.replicas.clear()
            return site.deployer.looks > 200

        await until(vanish)
        assert 10 < site.deployer.started <= STARTS * 2  # the clock of these tests flies


async def test_the_date_of_a_change_is_no_time_of_the_durations_clock(site: Site) -> None:
    parts = replace(site.controller._parts, dates=lambda: 1.7e9)
    site.controller = Controller(parts, wake=asyncio.Event(), tick_s=0.01)
    async with running(site):
        await site.store.create(endpoint(EndpointStatus.CREATING))
        assert (await site.until_status(EndpointStatus.IN_SERVICE)).modified_at == 1.7e9


async def test_a_replica_that_cannot_be_started_fails_its_endpoint_with_the_reason(site: Site) -> None:
    site.deployer.refusal = "No space is left on the device."
    async with running(site):
        await site.store.create(endpoint(EndpointStatus.CREATING))
        failed = await site.until_status(EndpointStatus.FAILED)
        await site.store.replace(failed, replace(failed, status=EndpointStatus.DELETING))
        await until(lambda: not site.pool.fleet.endpoints)
    assert failed.failure_reason is not None
    assert failed.failure_reason.endswith("No space is left on the device.")
    assert site.deployer.started == 3


async def test_an_endpoint_that_can_never_run_fails_and_does_not_stop_the_others(site: Site) -> None:
    hopeless = replace(endpoint(EndpointStatus.CREATING, name="hopeless"), models=(model(),))
    async with running(site):
        await site.store.create(hopeless)
        await site.store.create(endpoint(EndpointStatus.CREATING))
        await site.until_status(EndpointStatus.IN_SERVICE)
        failed = await site.until_status(EndpointStatus.FAILED, "hopeless")
    assert failed.failure_reason is not None and "HF_MODEL_ID" in failed.failure_reason


async def test_an_update_leaves_no_gap(site: Site) -> None:
    async with running(site):
        await site.store.create(endpoint(EndpointStatus.CREATING))
        stored = await site.until_status(EndpointStatus.IN_SERVICE)
        site.deployer.first_state = ReplicaState.STARTING
        await site.store.replace(stored, replace(stored, status=EndpointStatus.UPDATING, config="chat-2"))
        await until(lambda: "r-2" in site.deployer.replicas)
        async with site.pool.lease("chat") as lease:
            assert lease.replica.id == "r-1"
        site.deployer.become("r-2", ReplicaState.READY)
        await site.until_status(EndpointStatus.IN_SERVICE)
        await until(lambda: set(site.deployer.replicas) == {"r-2"})
        async with site.pool.lease("chat") as lease:
            assert lease.replica.spec.config == "chat-2"


async def test_a_replica_is_stopped_only_when_its_last_request_is_done(site: Site) -> None:
    async with running(site):
        await site.store.create(endpoint(EndpointStatus.CREATING))
        stored = await site.until_status(EndpointStatus.IN_SERVICE)
        async with site.pool.lease("chat"):
            await site.store.replace(stored, replace(stored, status=EndpointStatus.DELETING))
            await site.until_status(EndpointStatus.DELETING)
            await until(lambda: not site.pool.fleet.endpoints["chat"].ready)
            assert set(site.deployer.replicas) == {"r-1"}
            with pytest.raises(NotReady):
                await site.pool.lease("chat").__aenter__()
        await until(lambda: not site.deployer.replicas)


async def test_a_slow_stop_does_not_hold_up_other_endpoints(site: Site) -> None:
    site.deployer.held.clear()
    site.deployer.replicas["r-0"] = replica("r-0", of=spec(name="unknown"))
    async with running(site):
        await site.store.create(endpoint(EndpointStatus.CREATING))
        await site.until_status(EndpointStatus.IN_SERVICE)
        assert "r-0" in site.deployer.replicas
        site.deployer.held.set()
        await until(lambda: "r-0" not in site.deployer.replicas)


async def test_replicas_of_an_earlier_process_are_kept(site: Site) -> None:
    await site.store.create(endpoint(EndpointStatus.IN_SERVICE))
    site.deployer.replicas["r-0"] = replica("r-0")
    await site.controller.refresh()
    async with site.pool.lease("chat") as lease:
        assert lease.replica.id == "r-0"
    looks = site.deployer.looks
    async with running(site):
        await until(lambda: site.deployer.looks > looks + 3)
    assert site.deployer.started == 0
    assert set(site.deployer.replicas) == {"r-0"}


async def test_leasing_never_asks_the_database(site: Site) -> None:
    await site.store.create(endpoint(EndpointStatus.IN_SERVICE))
    site.deployer.replicas["r-0"] = replica("r-0")
    await site.controller.refresh()
    await site.store.delete(Endpoint, "chat")
    async with site.pool.lease("chat") as lease:
        assert lease.replica.id == "r-0"
