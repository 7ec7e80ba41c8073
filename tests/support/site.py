"""A whole site, started as a user starts it: `nearstream up` in a process, its own home, its own port."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config
from tests.support.ports import free_port

from nearstream.cli.connection import connect
from nearstream.home.paths import Home

START_TIMEOUT_S = 120


def nearstream(*words: str, home: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    where = ("--home", str(home)) if home else ()
    return subprocess.run(
        [sys.executable, "-m", "nearstream", *words, *where],
        capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False, **options,
    )  # fmt: skip


@dataclass
class Site:
    home: Path
    port: int = field(default_factory=free_port)
    options: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Start and return once the first answer came."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nearstream", "up", "--home", str(self.home), "--port", str(self.port),
             "--json", *self.options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        # A front door that hangs is killed, so that reading its output ends.
        watchdog = threading.Timer(START_TIMEOUT_S, self.process.kill)
        watchdog.start()
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == "ready":
                watchdog.cancel()
                return
        watchdog.cancel()
        raise AssertionError(f"the site did not come up: {self.process.stderr.read()}")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def environment(self) -> dict[str, str]:
        if not self.variables:
            self.variables = json.loads(nearstream("env", "--json", home=self.home).stdout)
        return self.variables

    def client(self, service: str, **changes: str) -> Any:
        keys = self.environment() | changes
        return boto3.client(
            service,
            region_name=keys["AWS_REGION"],
            endpoint_url=keys["AWS_ENDPOINT_URL"],
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def status(self) -> dict[str, Any]:
        """What `nearstream status --json` prints, without the time that a process takes to start."""

        async def ask() -> dict[str, Any]:
            async with connect(Home(self.home)) as client:
                return await client.status()

        return asyncio.run(ask())

    def replicas(self, endpoint: str = "assistant") -> list[dict[str, Any]]:
        found = [each for each in self.status()["endpoints"] if each["name"] == endpoint]
        return found[0]["replicas"] if found else []


def pid_of(replica: dict[str, Any]) -> int:
    """The process of a replica, as `nearstream status` tells it."""
    return int(replica["handle"].removeprefix("pid "))


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not reaped yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
