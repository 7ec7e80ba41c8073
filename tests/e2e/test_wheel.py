"""The wheel that a release publishes installs into an empty environment and serves there."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path
from zipfile import ZipFile

import pytest
from tests.support.guide import ROOT, answers
from tests.support.ports import free_port
from tests.support.site import START_TIMEOUT_S
from tests.support.waiting import eventually

UV = str(Path(sys.executable).with_name("uv"))
UNREACHABLE = ("error sending request", "dns error", "network", "timed out", "connection")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def uv(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([UV, *words], capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    done = uv("build", "--wheel", "--out-dir", str(out), str(ROOT))
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment with the locked dependencies, and the wheel."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    made = uv("venv", "--python", sys.executable, str(folder))
    assert made.returncode == 0, made.stderr
    install = ("pip", "install", "--python", str(folder / "bin" / "python"))
    locked = (*install, "--require-hashes", "-r", str(ROOT / "requirements.lock"))
    done = uv(*locked, "--offline")  # what uv has in its cache already, in seconds
    if done.returncode != 0:
        done = uv(*locked)
    if done.returncode != 0 and any(sign in done.stderr.lower() for sign in UNREACHABLE):
        pytest.skip("neither uv's cache has the dependencies nor can an index be reached")
    assert done.returncode == 0, done.stderr
    done = uv(*install, "--no-deps", "--offline", str(wheel))
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_it_has_the_package_the_model_and_the_licence_and_nothing_else(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"nearstream"}
    for needed in ("models/builtin/model.safetensors", "models/convert-requirements.lock", "py.typed"):
        assert f"nearstream/{needed}" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert [name for name in names if "__pycache__" in name] == []


def test_it_serves_an_answer_in_an_empty_environment(environment: Path, tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    shown = subprocess.run(
        [environment / "nearstream", "--version"], env=environ, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == PROJECT["version"]
    port = free_port()
    command = [str(environment / "nearstream"), "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environ, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            eventually(
                lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/health"),
                "the installed server is ready",
                within_s=START_TIMEOUT_S,
            )
            assert process.poll() is None, process.stderr and process.stderr.read()
            body = json.dumps({"inputs": "Hello", "parameters": {"max_new_tokens": 5}}).encode()
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"http://127.0.0.1:{port}/generate", body, headers)
            with urllib.request.urlopen(request) as response:
                assert json.load(response)["generated_text"]
        finally:
            process.terminate()
