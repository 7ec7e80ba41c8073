"""What a deployer's contract needs: specs, waiting for a condition, a process that counts as ours or not."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.waiting import until

from nearstream.core.ports import Deployer
from nearstream.core.replicas import Replica, ReplicaSpec, ReplicaState

STANDIN = Path(__file__).with_name("standin.py")


def spec_of(model: str = "ready", **environment: str) -> ReplicaSpec:
    return ReplicaSpec(
        endpoint="chat",
        variant="AllTraffic",
        config="chat-1",
        container="primary",
        persona="tgi",
        version="1.0.3",
        model=model,
        requested_model="a/b",
        environment=tuple(environment.items()),
    )


def standin_command(spec: ReplicaSpec, socket: str) -> list[str]:
    return [sys.executable, str(STANDIN), socket, *spec.model.split()]


async def find(deployer: Deployer, replica_id: str) -> Replica | None:
    return next((replica for replica in await deployer.observe() if replica.id == replica_id), None)


def pid_of(replica: Replica) -> int:
    """The process of a replica of the local deployer."""
    return int(replica.handle.removeprefix("pid "))


async def until_state(deployer: Deployer, replica_id: str, state: ReplicaState) -> Replica:
    found: list[Replica] = []

    async def reached() -> bool:
        replica = await find(deployer, replica_id)
        found[:] = [replica] if replica else []
        return replica is not None and replica.state is state

    try:
        await until(reached)
    except TimeoutError:
        raise AssertionError(f"{replica_id} never became {state}; it is {found}") from None
    return found[0]
