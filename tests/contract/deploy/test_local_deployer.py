"""The contract of a Deployer, on processes of this machine."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from tests.contract.deploy.harness import find, pid_of, spec_of, standin_command, until_state
from tests.support.waiting import until

from nearstream.core.errors import Unusable
from nearstream.core.replicas import ReplicaState, UnixSocket
from nearstream.deploy.local import LocalDeployer, serve_command
from nearstream.deploy.runs import Run
from nearstream.deploy.watch import Patience

Opener = Callable[..., AbstractAsyncContextManager[LocalDeployer]]
ENVIRONMENT = {"PATH": os.defpath, "WORD": "inherited"}


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens deployers on one home; whatever they started is ended with the test."""

    @asynccontextmanager
    async def open_deployer(home: Path = tmp_path, **options: Any) -> AsyncIterator[LocalDeployer]:
        wanted = {"environment": ENVIRONMENT, "clock": now, "command": standin_command, **options}
        async with LocalDeployer(home, **wanted) as deployer:
            try:
                yield deployer
            finally:
                pids.update({pid_of(replica) for replica in await deployer.observe()})

    pids: set[int] = set()
    yield open_deployer
    for pid in pids:
        end(pid)


def now() -> float:
    return datetime.now(UTC).timestamp()


def end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


@contextmanager
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    with subprocess.Popen(command, start_new_session=True) as process:
        yield process
        process.kill()


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def run_file(home: Path, replica_id: str) -> Path:
    return home / "run" / f"{replica_id}.json"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def log_of(home: Path, replica_id: str) -> str:
    return (home / "logs" / "chat" / "AllTraffic" / f"{replica_id}.log").read_text()


async def test_a_started_replica_becomes_ready(opened: Opener) -> None:
    async with opened() as deployer:
        started = await deployer.start(spec_of())
        assert started.state is ReplicaState.STARTING
        ready = await until_state(deployer, started.id, ReplicaState.READY)
        assert ready.spec == spec_of()
        assert (ready.handle, ready.address) == (started.handle, started.address)
        assert ready.since is not None and ready.since >= ready.started_at


async def test_a_replica_that_refuses_its_ping_stays_starting(opened: Opener, tmp_path: Path) -> None:
    async with opened() as deployer:
        started = await deployer.start(spec_of("slow"))
        await until(lambda: "serving" in log_of(tmp_path, started.id))
        await asyncio.gather(*(deployer.observe() for _ in range(5)))
        assert (await find(deployer, started.id)).state is ReplicaState.STARTING


async def test_every_change_of_state_is_told(opened: Opener) -> None:
    told = asyncio.Event()
    async with opened(notify=told.set) as deployer:
        started = await deployer.start(spec_of())
        async with asyncio.timeout(30):
            await told.wait()
        assert (await find(deployer, started.id)).state is ReplicaState.READY
        told.clear()
        os.kill(pid_of(started), signal.SIGKILL)
        async with asyncio.timeout(5):
            await told.wait()
        assert (await find(deployer, started.id)).state is ReplicaState.DEAD


async def test_a_killed_replica_is_dead_and_says_by_what(opened: Opener) -> None:
    async with opened() as deployer:
        started = await deployer.start(spec_of())
        await until_state(deployer, started.id, ReplicaState.READY)
        os.kill(pid_of(started), signal.SIGKILL)
        dead = await until_state(deployer, started.id, ReplicaState.DEAD)
        assert "was killed by SIGKILL" in dead.exit_reason
        assert "serving" in dead.exit_reason
        assert not psutil.pid_exists(pid_of(started))


async def test_a_replica_that_fails_shows_its_code_and_the_end_of_its_log(opened: Opener) -> None:
    async with opened() as deployer:
        started = await deployer.start(spec_of("fails"))
        dead = await until_state(deployer, started.id, ReplicaState.DEAD)
        assert dead.exit_reason.startswith("The process exited with code 3.")
        assert dead.exit_reason.endswith("RuntimeError: no such model")
        assert not dead.unfit


async def test_a_replica_that_can_never_start_says_so_by_its_code(opened: Opener) -> None:
    async with opened() as deployer:
        started = await deployer.start(spec_of("unfit"))
        assert (await until_state(deployer, started.id, ReplicaState.DEAD)).unfit


async def test_a_dead_replica_is_forgotten_when_it_is_stopped(opened: Opener, tmp_path: Path) -> None:
    async with opened() as deployer:
        started = await deployer.start(spec_of("fails"))
        await until_state(deployer, started.id, ReplicaState.DEAD)
        await deployer.stop(started.id, grace_s=0)
        assert await deployer.observe() == []
        assert not run_file(tmp_path, started.id).exists()
        assert "RuntimeError" in log_of(tmp_path, started.id)


async def test_stopping_lets_a_replica_drain(opened: Opener, tmp_path: Path) -> None:
    async with opened() as deployer:
        started = await deployer.start(spec_of())
        await until_state(deployer, started.id, ReplicaState.READY)
        await deployer.stop(started.id, grace_s=30)
        assert log_of(tmp_path, started.id).endswith("drained\n")
        assert await deployer.observe() == []
        assert names_in(tmp_path / "run") == []


async def test_a_replica_that_will_not_drain_is_killed_after_its_grace(
    opened: Opener, tmp_path: Path
) -> None:
    async with opened() as deployer:
        started = await deployer.start(spec_of("deaf"))
        await until_state(deployer, started.id, ReplicaState.READY)
        async with asyncio.TaskGroup() as group:
            group.create_task(deployer.stop(started.id, grace_s=0.5))
            await until_state(deployer, started.id, ReplicaState.DRAINING)
            await until(lambda: "deaf" in log_of(tmp_path, started.id))
        assert not psutil.pid_exists(pid_of(started))
        assert await deployer.observe() == []


async def test_stopping_what_is_gone_is_no_error(opened: Opener) -> None:
    async with opened() as deployer:
        await deployer.stop("r-0000000000", grace_s=1)


async def test_nothing_of_a_killed_replica_is_left_behind(opened: Opener, tmp_path: Path) -> None:
    async with opened() as deployer:
        started = await deployer.start(spec_of("parent"))
        await until_state(deployer, started.id, ReplicaState.READY)
        (line,) = [line for line in log_of(tmp_path, started.id).splitlines() if line.startswith("child")]
        child = int(line.split()[1])
        os.kill(pid_of(started), signal.SIGKILL)
        await until_state(deployer, started.id, ReplicaState.DEAD)
        await until(lambda: not running(child))


async def test_a_replica_that_hangs_gets_no_work_and_is_killed(opened: Opener) -> None:
    patience = Patience(silent_s=0.2, hung_s=3.0, ping_s=0.1)
    async with opened(patience=patience) as deployer:
        started = await deployer.start(spec_of())
        await until_state(deployer, started.id, ReplicaState.READY)
        os.kill(pid_of(started), signal.SIGSTOP)
        await until_state(deployer, started.id, ReplicaState.STARTING)
        dead = await until_state(deployer, started.id, ReplicaState.DEAD)
        assert "did not answer GET /ping" in dead.exit_reason


async def test_a_replica_that_is_silent_for_a_moment_is_ready_again(opened: Opener) -> None:
    patience = Patience(silent_s=0.2, hung_s=60.0, ping_s=0.1)
    async with opened(patience=patience) as deployer:
        started = await deployer.start(spec_of())
        await until_state(deployer, started.id, ReplicaState.READY)
        os.kill(pid_of(started), signal.SIGSTOP)
        await until_state(deployer, started.id, ReplicaState.STARTING)
        os.kill(pid_of(started), signal.SIGCONT)
        ready = await until_state(deployer, started.id, ReplicaState.READY)
        assert ready.since > ready.started_at


async def test_a_replica_outlives_its_deployer_and_the_next_one_adopts_it(opened: Opener) -> None:
    async with opened() as first:
        started = await first.start(spec_of())
        await until_state(first, started.id, ReplicaState.READY)
    async with opened() as second:
        (adopted,) = await second.observe()
        assert adopted == replace(started, state=ReplicaState.READY, since=adopted.since)
        await second.stop(started.id, grace_s=30)
        assert await second.observe() == []
    assert not running(pid_of(started))


async def test_the_death_of_an_adopted_replica_is_told_too(opened: Opener) -> None:
    told = asyncio.Event()
    async with opened() as first, opened(notify=told.set) as second:
        started = await first.start(spec_of())
        await until_state(second, started.id, ReplicaState.READY)
        told.clear()
        os.kill(pid_of(started), signal.SIGKILL)
        async with asyncio.timeout(5):
            await told.wait()
        assert (await find(second, started.id)).state is ReplicaState.DEAD


async def test_a_replica_that_was_draining_is_adopted_as_draining(opened: Opener, tmp_path: Path) -> None:
    async with opened() as first:
        started = await first.start(spec_of("deaf"))
        await until_state(first, started.id, ReplicaState.READY)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await first.stop(started.id, grace_s=60)
    async with opened() as second:
        assert (await find(second, started.id)).state is ReplicaState.DRAINING
        await second.stop(started.id, grace_s=0)
        assert await second.observe() == []


async def test_a_stranger_with_the_same_pid_is_neither_adopted_nor_killed(
    opened: Opener, tmp_path: Path
) -> None:
    with stranger() as process:
        run = Run(
            id="r-1234567890",
            spec=spec_of(),
            pid=process.pid,
            birth="another-boot/1",
            socket=str(tmp_path / "none.sock"),
            log=str(tmp_path / "none.log"),
            started_at=1.0,
        )
        async with opened() as deployer:
            run_file(tmp_path, run.id).write_bytes(msgspec.json.encode(run))
            (dead,) = await deployer.observe()
            assert dead.state is ReplicaState.DEAD
            assert dead.exit_reason == "The process is gone."
            await deployer.stop(run.id, grace_s=0)
            assert await deployer.observe() == []
        assert process.poll() is None


async def test_a_deep_home_gets_short_sockets_in_a_folder_of_its_own(opened: Opener, tmp_path: Path) -> None:
    home = tmp_path / "-".join(["deep"] * 30)
    async with opened(home) as deployer:
        started = await deployer.start(spec_of())
        assert isinstance(started.address, UnixSocket)
        assert len(started.address.path) < 100
        assert mode_of(Path(started.address.path).parent) == 0o700
        await until_state(deployer, started.id, ReplicaState.READY)
        assert await deployer.stop_all(grace_s=30) == 1
        assert not Path(started.address.path).parent.exists()
        again = await deployer.start(spec_of())
        await until_state(deployer, again.id, ReplicaState.READY)
        await deployer.stop_all(grace_s=30)


async def test_a_replica_gets_its_containers_environment_over_the_inherited_one(
    opened: Opener, tmp_path: Path
) -> None:
    async with opened() as deployer:
        plain = await deployer.start(spec_of())
        own = await deployer.start(spec_of(WORD="own"))
        await until(lambda: "WORD=inherited" in log_of(tmp_path, plain.id))
        await until(lambda: "WORD=own" in log_of(tmp_path, own.id))


async def test_secrets_of_the_environment_are_readable_by_the_owner_alone(
    opened: Opener, tmp_path: Path
) -> None:
    async with opened() as deployer:
        started = await deployer.start(spec_of(HF_TOKEN="secret"))
        assert "secret" in run_file(tmp_path, started.id).read_text()
        assert mode_of(run_file(tmp_path, started.id)) == 0o600
        assert mode_of(tmp_path / "run") == mode_of(tmp_path / "logs") == 0o700
        (log,) = (tmp_path / "logs").rglob("*.log")
        assert mode_of(log) == 0o600


async def test_a_missing_program_is_unusable(opened: Opener, tmp_path: Path) -> None:
    async with opened(command=lambda _spec, _socket: ["/no/such/program"]) as deployer:
        with pytest.raises(Unusable, match="/no/such/program: No such file or directory"):
            await deployer.start(spec_of())
        assert await deployer.observe() == []


async def test_a_replica_that_cannot_be_noted_is_not_left_running(opened: Opener, tmp_path: Path) -> None:
    def command(_spec: object, socket: str) -> list[str]:
        (tmp_path / "run").rename(tmp_path / "moved")
        return standin_command(spec_of(), socket)

    before = psutil.Process().children()
    async with opened(command=command) as deployer:
        with pytest.raises(Unusable, match="cannot be written"):
            await deployer.start(spec_of())
        assert psutil.Process().children() == before


async def test_a_damaged_file_is_put_aside(opened: Opener, tmp_path: Path) -> None:
    async with opened() as deployer:
        run_file(tmp_path, "r-1234567890").write_text("{")
        assert await deployer.observe() == []
        assert run_file(tmp_path, "r-1234567890").with_suffix(".damaged").exists()


async def test_all_replicas_of_a_home_stop_together(opened: Opener) -> None:
    async with opened() as deployer:
        for _ in range(3):
            await deployer.start(spec_of())
        await deployer.stop_all(grace_s=30)
        assert await deployer.observe() == []


async def test_an_error_inside_comes_out_as_it_is(opened: Opener) -> None:
    async def fail() -> None:
        async with opened() as deployer:
            await deployer.start(spec_of())
            raise KeyError

    with pytest.raises(KeyError):
        await fail()


def test_a_replica_is_served_by_this_interpreter() -> None:
    assert serve_command(replace(spec_of("builtin"), version="0.9.3"), "/run/x.sock") == [
        *(sys.executable, "-P", "-m", "nearstream", "serve", "builtin", "--uds", "/run/x.sock"),
        *("--as", "tgi", "--model-id", "a/b", "--version", "0.9.3"),
    ]
    with_data = replace(spec_of(""), persona="lmi", model_data="s3://b/m.tar.gz", deployment="d1")
    assert serve_command(with_data, "/run/x.sock")[5:] == [
        *("--uds", "/run/x.sock", "--as", "lmi", "--model-data", "s3://b/m.tar.gz", "--deployment", "d1"),
        *("--version", "1.0.3"),
    ]
    assert "--no-unpack" in serve_command(replace(with_data, unpacked=False), "/run/x.sock")
