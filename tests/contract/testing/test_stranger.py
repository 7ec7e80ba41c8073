"""A stranger's test file: ten lines of pytest and boto3 in an empty folder, with nothing but the fixture."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
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
MOST_CPU_S = 2.5
"""A machine that is busy with other tests takes more of it than the second that a quiet one takes."""


def test_a_strangers_file_streams_and_sees_a_model_stream_error(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(FILE)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
    # The plugins of this project's own tests are not the stranger's.
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "nearstream.testing.plugin"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed in" in done.stdout
    assert done.stderr == ""
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < MOST_CPU_S


def test_pytest_finds_the_plugin_by_itself() -> None:
    (found,) = [each for each in entry_points(group="pytest11") if each.name == "nearstream"]
    assert found.value == "nearstream.testing.plugin"
