"""What docs/how-to/move-from-lmi.md prints runs as it is printed, on ports of this test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.guide import ROOT, Guide, output_of, started
from tests.support.ports import free_port
from tests.support.site import Site

GUIDE = Guide.read("how-to/move-from-lmi.md")
COMMANDS = GUIDE.commands()
SERVERS = {
    port: command
    for command in COMMANDS
    if " serve " in command
    for port in re.findall(r"--port (\d+)", command)
}
CLIENT, HANDLER = GUIDE.of("python")
(PROPERTIES,) = GUIDE.of("properties")
FALCON = {"EndpointName": "falcon"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout's folder with what a reader has put there."""
    place = tmp_path_factory.mktemp("checkout")
    (place / ".venv").symlink_to(ROOT / ".venv")
    for name, text in (("falcon/serving.properties", PROPERTIES), ("greeter/model.py", HANDLER)):
        (place / name).parent.mkdir()
        (place / name).write_text(text)
    return place


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("printed", SERVERS)
def test_a_server_starts_and_its_calls_are_answered(place: Path, printed: str):
    port = free_port()
    for command in COMMANDS:
        if command.startswith("tar"):
            assert output_of(command, place) == ""
    command = SERVERS[printed].replace(printed, str(port))
    with started(command, place, home=place, health=f"http://127.0.0.1:{port}/ping"):
        calls = [command for command in COMMANDS if command.startswith("curl") and f":{printed}/" in command]
        assert calls
        for call in calls:
            answer = output_of(
                call.replace(printed, str(port)).replace("~/.nearstream", str(place / "home")), place
            )
            assert answer
            assert "error" not in answer.lower() or "# TYPE" in answer, call
            assert '"type":' not in answer, call


def test_every_command_that_is_printed_is_tried():
    tried = [command for command in COMMANDS if command.startswith(("curl", "tar"))]
    others = [command for command in COMMANDS if command not in tried and command not in SERVERS.values()]
    assert (list(SERVERS), others) == (
        ["3000", "3001", "3002"],
        [".venv/bin/nearstream up --alias '*=builtin'"],  # which is how `site` is started
    )


def test_the_program_deploys_and_streams(site: Site):
    try:
        done = subprocess.run(
            [sys.executable, "-c", CLIENT],
            env=os.environ | site.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.split()) > 5
    finally:
        sagemaker = site.client("sagemaker")
        sagemaker.delete_endpoint(**FALCON)
        sagemaker.delete_endpoint_config(EndpointConfigName="falcon")
        sagemaker.delete_model(ModelName="falcon")
