"""A deployer's code reads no secret of the site, writes in its own folders alone, and lets the server be."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.contract.handlers.models import Models, call

from nearstream.config.deployed import CONTAINER_VARIABLES, replica_variables
from nearstream.config.serving.read import read_serving
from nearstream.handlers.confinement import Confinement, in_force, private_files
from nearstream.replica.lmi.model_settings import handler_settings

pytestmark = pytest.mark.skipif(not in_force(), reason="this kernel has no Landlock")
PROBE = """
import json, os, signal, subprocess, sys, tempfile
from djl_python import Output

def tried(action):
    try:
        return repr(action())
    except OSError as error:
        return type(error).__name__

def handle(inputs):
    if inputs.is_empty():
        return None
    asked = inputs.get_as_json()
    found = {}
    for path in asked["read"]:
        found[path] = tried(lambda: open(path).read())
        found["shell " + path] = subprocess.run(["cat", path], capture_output=True).returncode
    for path in asked["write"]:
        found[path] = tried(lambda: open(path, "w").write("x"))
    for path in asked["remove"]:
        found["remove " + path] = tried(lambda: os.unlink(path))
    found["signal"] = tried(lambda: os.kill(os.getppid(), 0))
    with tempfile.NamedTemporaryFile() as file:
        found["temporary"] = file.name
    found["environ"] = dict(os.environ)
    return Output().add_as_json(found)
"""

SECRETS = ("credentials.json", "keys.json", "management.key", "state.db", "run/r-1.json")


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The home of a site with its secrets."""
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    for name in SECRETS:
        (home / name).write_text("secret")
    return home


async def probed(models: Models, site: Path, **asked: list[str]) -> dict[str, Any]:
    confinement = Confinement((site, site / "run"), site / "cache" / "handlers" / "work" / "m")
    body = {"read": [], "write": [], "remove": [], **asked}
    async with models.open(PROBE, confinement=confinement) as workers:
        answer = await call(workers, body)
        return dict(answer.json())


async def test_it_reads_no_secret_and_writes_nothing_that_is_not_its_own(models: Models, site: Path):
    secrets = [str(site / name) for name in SECRETS]
    outside = [str(path) for path in (site / "new", models.path / "beside", site / "run" / "new")]
    outside.append("/etc/nearstream-test")
    own = [str(models.path / "model" / "mine")]
    environ = f"/proc/{os.getpid()}/environ"
    with capture_logs() as log:
        found = await probed(
            models, site, read=[*secrets, environ], write=[*outside, *own, "/dev/null"], remove=secrets
        )
    for path in (*secrets, environ):
        assert (found[path], found[f"shell {path}"]) == ("PermissionError", 1)
    for path in (*outside, *(f"remove {path}" for path in secrets)):
        assert found[path] == "PermissionError", path
    assert [found[path] for path in (*own, "/dev/null")] == ["1", "1"]
    work = str(site / "cache" / "handlers" / "work" / "m")
    assert found["temporary"].startswith(work)
    assert found["environ"]["HOME"] == work
    assert found["signal"] == "PermissionError"
    (line,) = [line for line in log if line["event"] == "handler confined"]
    assert (line["by"], line["work"]) == ("Landlock", work)


async def test_a_link_to_a_secret_opens_nothing(models: Models, site: Path):
    link = models.path / "model"
    link.mkdir()
    (link / "link").symlink_to(site / "credentials.json")
    (models.path / "way").symlink_to(site)
    ways = [str(link / "link"), str(models.path / "way" / "keys.json")]
    found = await probed(models, site, read=ways)
    assert {found[path] for path in ways} == {"PermissionError"}


async def test_what_its_requirements_run_as_they_are_installed_is_confined_too(models: Models, site: Path):
    package = models.path / "model" / "evil"
    package.mkdir(parents=True)
    backend = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (package / "pyproject.toml").write_text(backend)
    (package / "backend.py").write_text(
        f"import pathlib\nsecret = pathlib.Path({str(site / 'credentials.json')!r})\n"
        "try:\n    told = secret.read_text()\nexcept OSError as error:\n    told = type(error).__name__\n"
        "raise SystemExit('it saw ' + told)\n"
    )
    (models.path / "model" / "requirements.txt").write_text("./evil\n")
    with pytest.raises(Exception, match="cannot be installed") as caught, capture_logs() as log:
        await probed(models, site)
    said = str(caught.value) + json.dumps(log, default=str)
    assert "it saw PermissionError" in said
    assert "it saw secret" not in said


def test_the_code_of_a_sites_deployer_is_confined_and_that_of_a_servers_own_user_is_not(tmp_path: Path):
    (tmp_path / "model.py").write_text("def handle(inputs): ...\n")
    serving, _ = read_serving(tmp_path, {}, version="0.36.0")
    operator = {"NEARSTREAM_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "HF_TOKEN": "secret"}
    for environ, confined in ((operator, False), (replica_variables(operator, {}).variables, True)):
        settings = handler_settings(serving, "model.py", model="m", cache=tmp_path, environ=environ)
        assert (settings.confinement is not None) is confined
        assert ("HF_TOKEN" in settings.environment) is not confined
        assert CONTAINER_VARIABLES not in settings.environment
    assert settings.confinement is not None
    assert {tmp_path / "home", *private_files(tmp_path)} <= set(settings.confinement.hidden)


async def test_a_confined_program_starts_quickly_and_keeps_its_arguments(tmp_path: Path):
    confinement = Confinement((tmp_path / "none",), tmp_path / "work")
    confinement.prepare()
    command = confinement.command(
        [sys.executable, "-c", "import sys; print(sys.argv[1:])", "a b", "7"], readable=(), writable=()
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output == b"['a b', '7']\n"
