"""What docs/how-to/move-from-tgi.md prints runs as it is printed, on ports of this test."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.guide import ROOT, Guide, output_of, started
from tests.support.ports import free_port

GUIDE = Guide.read("how-to/move-from-tgi.md")
COMMANDS = GUIDE.commands()
SERVERS = [command for command in COMMANDS if ".venv/bin/" in command]
CALLS = [command for command in COMMANDS if command.startswith("curl")]


def health(port: int) -> str:
    return f"http://127.0.0.1:{port}/health"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_calls_are_answered_by_the_launcher_that_is_printed_first(tmp_path: Path):
    assert (len(SERVERS), len(CALLS)) == (3, 4)
    port = free_port()
    command = SERVERS[0].replace("3000", str(port))
    with started(command, ROOT, home=tmp_path, health=health(port)):
        for call in CALLS:
            answer = output_of(call.replace("3000", str(port)), tmp_path)
            assert answer
            assert '"error"' not in answer, call


def test_the_other_servers_start_too(tmp_path: Path):
    with ExitStack() as running:
        for command, printed in ((SERVERS[1], "3001"), (f"{SERVERS[2]} --port 8080", "8080")):
            port = free_port()
            here = command.replace(printed, str(port))
            running.enter_context(started(here, ROOT, home=tmp_path, health=health(port)))


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    (unit,) = GUIDE.of("ini")
    path = tmp_path / "nearstream.service"
    path.write_text(unit.replace("/opt/nearstream", str(ROOT)).replace("User=nearstream\n", ""))
    done = subprocess.run([analyze, "verify", path], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "nearstream" in line] == []
