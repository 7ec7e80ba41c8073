"""Clients whose versions clash with ours, each in an environment of its own and spoken to over pipes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import uv

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[2] / ".venv-clients"
Install = Callable[[Path, Path], None]


def python_of(name: str) -> Path:
    """The interpreter that has `<name>.lock` installed; made at first use, kept until the lock changes."""
    _made(name, HERE / f"{name}.lock", _install_python)
    return ENVIRONMENTS / name / "bin" / "python"


def node_modules_beside(name: str) -> Path:
    """The folder whose `node_modules` are as `<name>/package-lock.json` says; made as `python_of` is."""
    if missing := [tool for tool in ("node", "npm") if shutil.which(tool) is None]:
        pytest.skip(f"{name} needs {missing[0]}, which is not installed")
    _made(name, HERE / name / "package-lock.json", _install_node)
    return ENVIRONMENTS / name


def _made(name: str, lock: Path, install: Install) -> None:
    if reason := _why_not(name, lock, install):
        pytest.skip(f"{name} cannot be installed: {reason}")


@cache
def _why_not(name: str, lock: Path, install: Install) -> str:
    """Empty once the environment is there; tried once, for a package index that is away is slow to be so."""
    home = ENVIRONMENTS / name
    stamp, digest = home / "made-from", hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return ""
    try:
        install(home, lock)
    except subprocess.CalledProcessError as error:
        return str(error.stderr).strip() or str(error)
    stamp.write_text(digest)
    return ""


def _install_python(home: Path, lock: Path) -> None:
    uv_command = (uv.find_uv_bin(), "--quiet")
    _run(*uv_command, "venv", "--clear", "--python", sys.executable, str(home))
    python = str(home / "bin" / "python")
    _run(*uv_command, "pip", "install", "--python", python, "--require-hashes", "-r", str(lock))


def _install_node(home: Path, lock: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    for file in (lock, lock.with_name("package.json")):
        shutil.copy(file, home)
    _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(home))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


class Conversation:
    """One of `scripts`, running with `variables`; `ask` has one of its clients do something at `url`."""

    def __init__(
        self, script: str, environment: str, variables: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
        own |= variables
        self._process = subprocess.Popen(
            _command(script, environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=own | {"HF_ENDPOINT": "http://127.0.0.1:9", "LANGSMITH_TRACING": "false"},  # nowhere else
        )

    async def ask(self, client: str, do: str, url: str) -> dict[str, Any]:
        return await asyncio.to_thread(self._ask, {"client": client, "do": do, "url": url})

    def _ask(self, asked: dict[str, str]) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the client's process ended"
        return json.loads(line)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def _command(script: str, environment: str) -> list[str]:
    if (HERE / environment / "package-lock.json").exists():
        # Node finds packages from a module's own folder.
        own = node_modules_beside(environment) / f"{script}.mjs"
        shutil.copy(HERE / "scripts" / own.name, own)
        return ["node", str(own)]
    return [str(python_of(environment)), str(HERE / "scripts" / f"{script}.py")]
