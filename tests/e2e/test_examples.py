"""The examples run as they are printed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.test_way_in import SDK_EXAMPLES
from tests.support.ports import free_port
from tests.support.site import Site

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *words: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """`nearstream serve` on a port of its own."""
    port = free_port()
    command = [sys.executable, "-m", "nearstream", "serve", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "event=ready" in line:
                break
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest.mark.parametrize("name", ["stream_boto3.py", "deploy_tgi.py"])
def test_boto3_examples_print_an_answer(site: Site, name: str) -> None:
    assert len(run(name, **site.environment()).split()) > 3


@pytest.mark.parametrize("name", ["stream_openai.py", "stream_huggingface.py"])
def test_model_server_examples_print_an_answer(server: str, name: str) -> None:
    assert len(run(name, server).split()) > 3


def test_every_example_is_listed_and_tested() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    listed = (EXAMPLES / "README.md").read_text()
    assert all(name in listed for name in names)
    own = {"stream_boto3.py", "deploy_tgi.py", "stream_openai.py", "stream_huggingface.py"}
    assert names == own | set(SDK_EXAMPLES)
