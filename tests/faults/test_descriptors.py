"""A process whose descriptors run out: it starts nothing, loses no call, and ends when it is told to."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.contract.deploy.harness import pid_of, spec_of, standin_command, until_state
from tests.faults.harness import (
    exchange,
    idle_connections,
    model_server,
    post,
    seconds_to_end,
    with_few_descriptors,
)
from tests.support.ports import free_port
from tests.support.site import Site
from tests.support.waiting import eventually

from nearstream.core.errors import Unusable
from nearstream.core.replicas import ReplicaState
from nearstream.deploy import processes
from nearstream.deploy.local import LocalDeployer
from nearstream.deploy.ping import Health, ping

ASK = b'{"inputs": "Hello", "parameters": {"max_new_tokens": 3}}'


@contextmanager
def no_descriptors() -> Iterator[None]:
    """This process can open nothing while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_descriptors_a_ready_replica_stays_ready(tmp_path: Path):
    async with LocalDeployer(
        tmp_path, environment=dict(os.environ), clock=time.monotonic, command=standin_command
    ) as deployer:
        replica = await deployer.start(spec_of("ready"))
        ready = await until_state(deployer, replica.id, ReplicaState.READY)
        with no_descriptors():
            assert await ping(ready.address) is Health.UNKNOWN
            assert processes.is_alive(pid_of(ready), processes_mark(deployer, ready.id))
            with pytest.raises(Unusable, match="cannot be read"):
                await deployer.observe()
            await asyncio.sleep(1.5)  # longer than from one look to the next
        assert [(one.id, one.state) for one in await deployer.observe()] == [(ready.id, ReplicaState.READY)]
        with no_descriptors():
            assert await deployer.stop_all(grace_s=5) == 1
        assert await deployer.stop_all(grace_s=5) <= 1
        assert not psutil.pid_exists(pid_of(ready)) or not processes.is_alive(
            pid_of(ready), str(processes.birth_of(pid_of(ready)))
        )


def processes_mark(deployer: LocalDeployer, replica_id: str) -> str:
    return deployer._watched[replica_id].watch.run.birth


def test_a_process_is_told_alive_without_descriptors():
    own = processes.birth_of(os.getpid())
    assert own is not None
    with no_descriptors():
        assert processes.is_alive(os.getpid(), own)
        assert not processes.is_alive(2**22 - 1, own)
        with pytest.raises(OSError, match="Too many open files"):
            processes.birth_of(os.getpid())


def test_a_model_server_answers_beside_400_idle_connections(tmp_path: Path):
    with model_server(tmp_path / "log") as (port, process):
        children = len(psutil.Process(process.pid).children(recursive=True))
        with idle_connections(port, 400):
            for _ in range(20):
                assert exchange(port, post("/generate", ASK)).startswith(b"HTTP/1.1 200")
            used = process_time(process.pid)
            time.sleep(2)
            assert process_time(process.pid) - used < 1  # it does not spin
            assert len(psutil.Process(process.pid).children(recursive=True)) == children
            assert seconds_to_end(process, within_s=30) < 15


def process_time(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def test_a_site_beside_400_idle_connections_starts_no_replica_and_loses_no_call(tmp_path: Path):
    site = Site(tmp_path / "home", free_port())
    words = ("up", "--home", str(site.home), "--port", str(site.port), "--json")
    with with_few_descriptors(*words, log=tmp_path / "log") as process:
        eventually(
            lambda: '"event":"ready"' in (tmp_path / "log").read_text().replace(" ", ""), "it is ready"
        )
        before = replica_ids(site)
        runtime = site.client("sagemaker-runtime")
        with idle_connections(site.port, 400):
            for _ in range(20):
                answer = runtime.invoke_endpoint(
                    EndpointName="assistant", ContentType="application/json", Body=ASK
                )
                assert json.loads(answer["Body"].read())
            time.sleep(5)
            assert replica_ids(site) == before
            assert len(list((site.home / "run").glob("*.json"))) == len(before)
            children = psutil.Process(process.pid).children(recursive=True)
            assert seconds_to_end(process, within_s=60) < 40
        assert not any(child.is_running() for child in children)


def replica_ids(site: Site) -> set[str]:
    return {path.stem for path in (site.home / "run").glob("*.json")}
