"""Store, controller, pool and deployer together, on real processes and the event loop that serves."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest
import uvloop
from tests.contract.deploy.harness import pid_of, standin_command
from tests.support.waiting import until

from nearstream.core.endpoints import Container, Endpoint, EndpointStatus, Model, ProductionVariant
from nearstream.deploy.local import LocalDeployer
from nearstream.fleet.controller import Controller, Parts
from nearstream.fleet.pool import Pool
from nearstream.fleet.specs import Desired, desired
from nearstream.fleet.store import Store


class Site:
    """A running fleet on one home."""

    def __init__(self, store: Store, pool: Pool, deployer: LocalDeployer) -> None:
        self.store = store
        self.pool = pool
        self.deployer = deployer

    async def until_status(self, status: EndpointStatus) -> Endpoint:
        await until(lambda: self.pool.fleet.endpoints["chat"].endpoint.status is status)
        return self.pool.fleet.endpoints["chat"].endpoint

    async def create(self, model: str = "ready", instances: int = 1) -> None:
        await self.store.create(endpoint(model, instances))
        await until(lambda: "chat" in self.pool.fleet.endpoints)


def endpoint(model: str, instances: int) -> Endpoint:
    container = Container("tgi", (("HF_MODEL_ID", model),))
    return Endpoint(
        name="chat",
        arn="arn:chat",
        config="chat-1",
        status=EndpointStatus.CREATING,
        created_at=1.0,
        modified_at=1.0,
        variants=(ProductionVariant("AllTraffic", "falcon", instances),),
        models=(Model("falcon", "arn:falcon", 1.0, (container,)),),
    )


@asynccontextmanager
async def running(home: Path, *, stays: bool = False) -> AsyncIterator[Site]:
    """What it started is stopped at the end, unless it `stays`."""
    wake = asyncio.Event()
    pool = Pool(random=Random(3).random, clock=now)
    deployer = LocalDeployer(
        home, environment={"PATH": os.defpath}, clock=now, notify=wake.set, command=standin_command
    )
    async with Store.open(f"sqlite:///{home / 'state.db'}") as store, deployer, asyncio.TaskGroup() as group:
        controller = Controller(Parts(store, deployer, pool, desire, now), wake=wake)
        await controller.refresh()
        task = group.create_task(controller.run())
        yield Site(store, pool, deployer)
        task.cancel()
        await asyncio.wait([task])
        if not stays:
            await deployer.stop_all(grace_s=10)


def now() -> float:
    return datetime.now(UTC).timestamp()


def desire(of: Endpoint) -> Desired:
    return desired(of, read_image=lambda image: (image, ""), aliases=())


def on_uvloop(test: Callable[[Path], Coroutine[Any, Any, None]], home: Path) -> None:
    """Runs the test and leaves nothing running, whatever came of it."""
    try:
        uvloop.run(test(home))
    finally:
        for child in psutil.Process().children():
            if str(home) in " ".join(child.cmdline()):
                child.kill()
                child.wait()


def test_a_killed_replica_costs_a_wait_and_no_error(tmp_path: Path) -> None:
    async def story(home: Path) -> None:
        async with running(home) as site:
            await site.create()
            await site.until_status(EndpointStatus.IN_SERVICE)
            async with site.pool.lease("chat") as lease:
                first = lease.replica
            os.kill(pid_of(first), signal.SIGKILL)
            site.pool.mark_broken(first.id)
            async with site.pool.lease("chat", wait_s=30) as lease:
                assert lease.replica.id != first.id
            assert (await site.store.get(Endpoint, "chat")).status is EndpointStatus.IN_SERVICE

    on_uvloop(story, tmp_path)


def test_what_ran_before_a_restart_answers_at_once_after_it(tmp_path: Path) -> None:
    async def story(home: Path) -> None:
        async with running(home, stays=True) as site:
            await site.create(instances=2)
            await site.until_status(EndpointStatus.IN_SERVICE)
            await until(lambda: len(site.pool.fleet.endpoints["chat"].ready) == 2)
            before = {replica.id for replica in site.pool.fleet.endpoints["chat"].ready}
        async with running(home) as site:
            async with site.pool.lease("chat") as lease:
                assert lease.replica.id in before
            stored = await site.store.get(Endpoint, "chat")
            await site.store.replace(stored, replace(stored, status=EndpointStatus.DELETING))
            await until(lambda: not site.pool.fleet.endpoints)
            assert await site.deployer.observe() == []

    on_uvloop(story, tmp_path)


def test_a_model_that_does_not_load_fails_its_endpoint_with_the_end_of_its_log(tmp_path: Path) -> None:
    async def story(home: Path) -> None:
        async with running(home) as site:
            await site.create("fails")
            failed = await site.until_status(EndpointStatus.FAILED)
            assert failed.failure_reason is not None
            assert "did not pass the ping health check" in failed.failure_reason
            assert failed.failure_reason.endswith("RuntimeError: no such model")
            await until(lambda: not site.pool.fleet.endpoints["chat"].replicas)

    on_uvloop(story, tmp_path)


@pytest.mark.parametrize("seed", range(2))
def test_killing_replicas_at_random_leaves_as_many_as_were_wanted(tmp_path: Path, seed: int) -> None:
    async def story(home: Path) -> None:
        random = Random(seed)
        async with running(home) as site:
            await site.create(instances=2)
            await site.until_status(EndpointStatus.IN_SERVICE)
            for _ in range(2):
                await until(lambda: len(site.pool.fleet.endpoints["chat"].ready) == 2)
                victims = site.pool.fleet.endpoints["chat"].ready[: random.choice((1, 2))]
                for victim in victims:
                    os.kill(pid_of(victim), signal.SIGKILL)
                gone = {victim.id for victim in victims}
                await until(partial(all_gone, site, gone))
            await until(lambda: len(site.pool.fleet.endpoints["chat"].ready) == 2)

    on_uvloop(story, tmp_path)


def all_gone(site: Site, ids: set[str]) -> bool:
    return not ids & ready_ids(site)


def ready_ids(site: Site) -> set[str]:
    return {replica.id for replica in site.pool.fleet.endpoints["chat"].ready}
