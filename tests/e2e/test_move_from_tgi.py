"""What docs/how-to/move-from-tgi.md prints runs as it is printed, on ports of this test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.e2e.conftest import START_TIMEOUT_S, eventually, free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "move-from-tgi.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [
    command.replace("\\\n", " ")
    for kind, block in BLOCKS
    if not kind
    for command in re.split(r"(?<!\\)\n", block.strip())
]
SERVERS = [command for command in COMMANDS if ".venv/bin/" in command]
CALLS = [command for command in COMMANDS if command.startswith("curl")]


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as response:
            return bool(response.status == 200)
    except OSError:
        return False


@contextmanager
def started(command: str, home: Path, port: int) -> Iterator[None]:
    environ = os.environ | {"HOME": str(home), "NEARSTREAM_HOME": str(home)}
    # With `env` the shell can become the command, so that terminating it ends that.
    with subprocess.Popen(f"exec env {command}", shell=True, cwd=ROOT, env=environ) as process:

        def settled() -> bool:
            return process.poll() is not None or healthy(port)

        try:
            eventually(settled, command, timeout_s=START_TIMEOUT_S)
            assert process.poll() is None
            yield
        finally:
            process.terminate()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_calls_are_answered_by_the_launcher_that_is_printed_first(tmp_path: Path):
    assert (len(SERVERS), len(CALLS)) == (3, 4)
    port = free_port()
    with started(SERVERS[0].replace("3000", str(port)), tmp_path, port):
        for call in CALLS:
            done = subprocess.run(
                call.replace("3000", str(port)), shell=True, capture_output=True, text=True, check=True
            )
            assert done.stdout
            assert '"error"' not in done.stdout, call


def test_the_other_servers_start_too(tmp_path: Path):
    with ExitStack() as running:
        for command, printed in ((SERVERS[1], "3001"), (f"{SERVERS[2]} --port 8080", "8080")):
            port = free_port()
            running.enter_context(started(command.replace(printed, str(port)), tmp_path, port))


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    (unit,) = (block for kind, block in BLOCKS if kind == "ini")
    path = tmp_path / "nearstream.service"
    path.write_text(unit.replace("/opt/nearstream", str(ROOT)).replace("User=nearstream\n", ""))
    done = subprocess.run([analyze, "verify", path], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "nearstream" in line] == []
