"""A stranger's test file: ten lines of pytest and boto3 in an empty folder, with nothing but the fixture."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

FILE = """\
import json, pytest
from botocore.exceptions import EventStreamError

def test_streaming(sagemaker_site):
    runtime = sagemaker_site.boto3("sagemaker-runtime")
    call = {"EndpointName": sagemaker_site.endpoint, "Body": json.dumps({"inputs": "Hi", "stream": True})}
    sagemaker_site.answer("Hello you")
    body = runtime.invoke_endpoint_with_response_stream(**call)["Body"]
    assert b'"HiHello you"' in b"".join(event["PayloadPart"]["Bytes"] for event in body)
    sagemaker_site.answer("One two three", fail_after=2)
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        list(runtime.invoke_endpoint_with_response_stream(**call)["Body"])
"""
WITHOUT_US = "import pytest, boto3; boto3.client('sagemaker-runtime', region_name='us-east-1')"
MOST_TIMES = 4.0
"""How much more processor time the file may take than what it needs besides: pytest, boto3 and its client."""


def run(words: Sequence[str], folder: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    """A run of Python, and its seconds on the processor, which other tests beside it do not lengthen much."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
    # The plugins of this project's own tests are not the stranger's.
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_strangers_file_streams_and_sees_a_model_stream_error(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(FILE)
    done, _ = run(["-m", "pytest", "-q", "-p", "nearstream.testing.plugin"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed in" in done.stdout
    assert done.stderr == ""


def test_a_strangers_file_takes_little_more_than_pytest_and_boto3_do(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(FILE)
    words = ["-m", "pytest", "-q", "-p", "nearstream.testing.plugin"]
    run(words, tmp_path)  # the first run of an installation compiles
    (_, besides_s), (_, taken_s) = run(["-c", WITHOUT_US], tmp_path), run(words, tmp_path)
    assert taken_s < MOST_TIMES * besides_s


def test_pytest_finds_the_plugin_by_itself() -> None:
    (found,) = [each for each in entry_points(group="pytest11") if each.name == "nearstream"]
    assert found.value == "nearstream.testing.plugin"
