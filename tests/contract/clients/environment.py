"""Clients whose versions clash with ours, each in an environment of its own and spoken to over pipes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import uv

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[2] / ".venv-clients"


def python_of(name: str) -> Path:
    """The interpreter that has `<name>.lock` installed; made at first use, kept until the lock changes."""
    if reason := _why_not(name):
        pytest.skip(f"{name} cannot be installed: {reason}")
    return ENVIRONMENTS / name / "bin" / "python"


@cache
def _why_not(name: str) -> str:
    """Empty once the environment is there; tried once, for a package index that is away is slow to be so."""
    lock, home = HERE / f"{name}.lock", ENVIRONMENTS / name
    stamp, digest = home / "made-from", hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return ""
    try:
        _uv("venv", "--clear", "--python", sys.executable, str(home))
        _uv("pip", "install", "--python", str(home / "bin" / "python"), "--require-hashes", "-r", str(lock))
    except subprocess.CalledProcessError as error:
        return str(error.stderr).strip() or str(error)
    stamp.write_text(digest)
    return ""


def _uv(*arguments: str) -> None:
    command = [uv.find_uv_bin(), "--quiet", *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True)


class Conversation:
    """One of `scripts`, running with `variables`; `ask` has one of its clients do something at `url`."""

    def __init__(
        self, script: str, environment: str, variables: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
        own |= variables
        self._process = subprocess.Popen(
            [python_of(environment), HERE / "scripts" / f"{script}.py"],
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
