"""What docs/tutorial prints runs in the order in which a person follows it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.guide import ROOT, Guide, answers, output_of
from tests.support.ports import free_port
from tests.support.site import START_TIMEOUT_S
from tests.support.waiting import eventually

GUIDE = Guide.read("tutorial/README.md")
FIRST, *COMMANDS = GUIDE.commands()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which the reader has made the files of the tutorial."""
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    for program in GUIDE.of("python"):
        name = re.match(r"# (\w+\.py)\n", program)
        assert name, program
        (tmp_path / name[1]).write_text(program)
    return tmp_path


@pytest.fixture
def environ(checkout: Path) -> Iterator[dict[str, str]]:
    """The first terminal: what `make up` starts, on a port of this test."""
    port = str(free_port())
    environ = {**os.environ, "HOME": str(checkout), "NEARSTREAM_PORT": port}
    with subprocess.Popen([".venv/bin/nearstream", "up"], cwd=checkout, env=environ) as process:
        try:
            eventually(
                lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/health/assistant"),
                "its first endpoint serves, as it tells its reader",
                within_s=START_TIMEOUT_S,
            )
            assert process.poll() is None
            yield environ
            assert process.wait(timeout=30) == 0, "the tutorial stops the site at its end"
        finally:
            process.terminate()


def test_a_reader_gets_from_the_first_answer_to_a_model_of_their_own(
    checkout: Path, environ: dict[str, str]
) -> None:
    assert FIRST == "make up"
    marked = "\n".join(f"echo '=== {number}'\n{line}" for number, line in enumerate(COMMANDS))
    shown = output_of(f"set -e\n{marked}", checkout, environ)
    outputs = dict(zip(COMMANDS, re.split(r"=== \d+\n", shown)[1:], strict=True))
    assert "InService" in outputs[".venv/bin/nearstream status"]
    asked = [output for command, output in outputs.items() if " ask.py " in command]
    assert len(asked) == 2
    for output in asked:
        text, ttft = output.strip().rsplit("\n", 1)
        assert len(text.split()) > 5 and re.fullmatch(r"TTFT \d+ ms", ttft)
    assert outputs[".venv/bin/python deploy.py"] == "mine is InService\n"
    assert "Stopped" in outputs[".venv/bin/nearstream down"]
