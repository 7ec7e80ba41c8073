"""A page of docs as what its reader does with it: its blocks, its commands, the servers that it starts."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.site import START_TIMEOUT_S
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Guide:
    blocks: tuple[tuple[str, str], ...]
    """Language and text of each fenced block, in their order."""

    @classmethod
    def read(cls, page: str) -> Guide:
        """The page at this path below docs/."""
        return cls(tuple(_BLOCK.findall((ROOT / "docs" / page).read_text())))

    def of(self, language: str) -> list[str]:
        return [text for kind, text in self.blocks if kind == language]

    def commands(self) -> list[str]:
        """Those of the blocks without a language, one a line; a backslash continues a line."""
        lines = (line for block in self.of("") for line in re.split(r"(?<!\\)\n", block.strip()))
        return [line.replace("\\\n", " ") for line in lines]


def output_of(command: str, folder: Path, environ: Mapping[str, str] = os.environ) -> str:
    """What a shell command prints; one that fails raises with what it wrote to standard error."""
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@contextmanager
def started(command: str, folder: Path, *, home: Path, health: str) -> Iterator[None]:
    """A server that a page starts, once `health` is answered; it is terminated with the block."""
    environ = os.environ | {"HOME": str(home), "NEARSTREAM_HOME": str(home / "home")}
    # With `env` the shell can become the command, so that terminating it ends that.
    with subprocess.Popen(f"exec env {command}", shell=True, cwd=folder, env=environ) as process:
        try:
            eventually(
                lambda: process.poll() is not None or answers(health), command, within_s=START_TIMEOUT_S
            )
            assert process.poll() is None, f"it ended: {command}"
            yield
        finally:
            process.terminate()
