"""Programs that run to their end: their lines, their failures, and the end of all that they started."""

from __future__ import annotations

import asyncio
import sys

import pytest
from tests.support.waiting import until
from tests.unit.workers.test_worker_process import ended

from nearstream.workers.command import CommandFailed, run

STARTS_ANOTHER = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True)
time.sleep(60)
"""


async def test_each_line_is_handed_on_and_a_progress_bars_steps_are_lines(tmp_path):
    lines: list[str] = []
    script = "import os; print('10%', end='\\r'); print('done\\n'); print(os.getcwd(), os.environ['A'])"
    command = [sys.executable, "-c", script]
    await run(command, on_line=lines.append, directory=tmp_path, environment={"A": "b"})
    assert lines == ["10%", "done", f"{tmp_path} b"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo one; echo two; exit 3", "two (status 3)"),
        ("exit 4", "sh printed nothing (status 4)"),
        ("echo 'x: No space left on device'; echo bye; exit 1", "the disk is full"),
    ],
)
async def test_a_failure_has_its_reason_in_one_line(script: str, reason: str):
    with pytest.raises(CommandFailed) as failed:
        await run(["sh", "-c", script], on_line=lambda _: None)
    assert failed.value.reason == reason


async def test_a_program_that_is_not_there_is_a_failure():
    with pytest.raises(CommandFailed, match="/no/such: No such file"):
        await run(["/no/such"], on_line=lambda _: None)


async def test_a_time_limit_ends_the_program_and_what_it_started():
    lines: list[str] = []
    running = asyncio.ensure_future(run([sys.executable, "-c", STARTS_ANOTHER], on_line=lines.append))
    await until(lambda: bool(lines))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    other = int(lines[0])
    await until(lambda: ended(other))
