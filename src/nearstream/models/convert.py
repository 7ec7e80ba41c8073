"""Turns a Hugging Face checkpoint into OpenVINO's IR with optimum-intel, in a Python environment of its own.

The environment (torch and what goes with it, some 3 GB) is made in the cache folder when first needed.
Conversions are kept by model, revision and weight format, and put in place by one rename.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from nearstream.core.errors import Unusable
from nearstream.home.locks import locked
from nearstream.models.directory import ModelDirectory, read_model
from nearstream.models.hub import Progress
from nearstream.models.weights import WeightFormat
from nearstream.workers.command import CommandFailed, run

TORCH = "torch==2.13.0"
_REQUIREMENTS = "convert-requirements.lock"
_COMPLETE = "complete"
_KEY_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Converter:
    """The converter under `cache`. `trust_remote_code` lets a checkpoint bring Python that is then run."""

    cache: Path
    trust_remote_code: bool = False

    @property
    def environment(self) -> Path:
        """Its Python environment, one for each set of pins and each Python."""
        pins = requirements().read_bytes() + TORCH.encode() + sys.version.encode()
        return self.cache / "converter" / hashlib.sha256(pins).hexdigest()[:_KEY_DIGITS]

    @property
    def program(self) -> Path:
        """optimum-intel's command."""
        return self.environment / "bin" / "optimum-cli"

    async def prepare(self, progress: Progress) -> None:
        """Make the environment unless it is there, whole. Raises Unusable with the installer's last line."""
        environment = self.environment
        complete = environment / _COMPLETE
        if complete.is_file():
            return
        async with locked(environment.with_suffix(".lock")):
            if complete.is_file():
                return
            progress("making the converter's environment, once; it needs about 3 GB")
            await asyncio.to_thread(shutil.rmtree, environment, ignore_errors=True)
            pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
            await _step(
                "the converter cannot be installed", progress, [sys.executable, "-m", "venv", environment]
            )
            # torch first and alone: pip's own configuration decides which build of it comes.
            await _step("the converter cannot be installed", progress, [*pip, TORCH])
            await _step(
                "the converter cannot be installed",
                progress,
                [*pip, "--no-deps", "--require-hashes", "-r", requirements()],
            )
            complete.touch()

    async def convert(self, source: Path, target: Path, *, weights: WeightFormat, progress: Progress) -> None:
        """Write the IR of `source` to the folder `target`, which is there only once it is whole."""
        await self.prepare(progress)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".converting-", dir=target.parent))
        try:
            made = scratch / "model"
            progress(f"converting to {weights}")
            await _step("the model cannot be converted", progress, self._command(source, made, weights))
            read_model(made)
            made.rename(target)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    def _command(self, source: Path, target: Path, weights: WeightFormat) -> list[str | Path]:
        task = ["--task", "text-generation-with-past", "--weight-format", weights]
        trust = ["--trust-remote-code"] if self.trust_remote_code else []
        return [self.program, "export", "openvino", "--model", source, *task, *trust, target]


async def cached_conversion(
    converter: Converter,
    model: ModelDirectory,
    *,
    weights: WeightFormat,
    identity: str | None,
    progress: Progress,
) -> ModelDirectory:
    """The IR of `model`, converted unless it was before.

    `identity` tells one revision from another ("org/name@commit"); None takes it from the files themselves.
    """
    identity = identity or await asyncio.to_thread(_identity, model.path)
    key = hashlib.sha256(f"{identity}\n{weights}".encode()).hexdigest()[:_KEY_DIGITS]
    target = converter.cache / "models" / f"{model.name.replace('/', '--')}-{weights}-{key}"
    async with locked(target.with_name(f".{target.name}.lock")):
        if not target.is_dir():
            await converter.convert(model.path, target, weights=weights, progress=progress)
    return read_model(target, name=model.name)


def requirements() -> Path:
    """The pinned requirements that come with the package."""
    return Path(str(files("nearstream.models") / _REQUIREMENTS))


def _identity(path: Path) -> str:
    """Where a checkpoint lies and how its files are now."""
    found = sorted(entry for entry in path.iterdir() if entry.suffix in {".safetensors", ".json"})
    states = [(entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in found]
    return f"{path.resolve()} {states}"


async def _step(purpose: str, progress: Progress, command: Sequence[str | Path]) -> None:
    try:
        await run([str(part) for part in command], on_line=progress)
    except CommandFailed as failed:
        raise Unusable(f"{purpose}: {failed.reason}") from failed
