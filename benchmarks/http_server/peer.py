"""The peer's environment: transformers with its server, in a folder of its own, from a locked list."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

TORCH = "torch==2.13.0"
LOCK = Path(__file__).with_name("requirements.lock")
HOME = Path(__file__).parents[2] / ".venv-bench" / "transformers"


def python() -> Path:
    """Its interpreter. Makes the environment, some 1 GB, unless it is there as the lock wants it."""
    program, stamp = HOME / "bin" / "python", HOME / "made-from"
    wanted = hashlib.sha256(LOCK.read_bytes() + TORCH.encode() + sys.version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return program
    print(f"installing {TORCH} and transformers into {HOME.relative_to(Path.cwd())}, once", flush=True)
    _run(sys.executable, "-m", "venv", "--clear", str(HOME))
    pip = (str(program), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    # torch first and alone: pip's own configuration decides which build of it comes.
    _run(*pip, TORCH)
    _run(*pip, "--no-deps", "--require-hashes", "-r", str(LOCK))
    stamp.write_text(wanted)
    return program


def versions() -> dict[str, str]:
    """What runs there."""
    names = ("transformers", "torch", "uvicorn", "fastapi")
    script = f"from importlib.metadata import version\nfor n in {names!r}: print(version(n))"
    done = subprocess.run([python(), "-c", script], capture_output=True, text=True, check=True)
    return dict(zip(names, done.stdout.split(), strict=True))


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise SystemExit(f"the peer cannot be installed: `{' '.join(words)}` failed: {output[-1]}")
