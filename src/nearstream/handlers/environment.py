"""The Python that a model's handler runs under: ours, or an environment made from its requirements.txt.

Such an environment comes before the server's packages and does not hide them: a handler finds numpy or boto3
with a requirements.txt as it does without one, and as it does in an LMI container, and what the model asks
for itself wins. It is kept by what it was made from, in its final place from the start, because programs
that pip writes name their interpreter; a file in it says that it is whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import shutil
import sys
import sysconfig
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import structlog

from nearstream.core.errors import Unusable
from nearstream.handlers.settings import HandlerSettings
from nearstream.home.locks import locked
from nearstream.workers.command import CommandFailed, run

_COMPLETE = "complete"
_KEY_DIGITS = 16
_TAIL_LINES = 3
_WHEELS = "requirements"
_PIP = ("--disable-pip-version-check", "--no-input", "install", "--progress-bar", "off")

_log = structlog.get_logger(__name__)


async def environment_for(settings: HandlerSettings) -> Path:
    """The interpreter to use. Raises Unusable, in pip's words, when something cannot be installed."""
    if not settings.requirements.is_file():
        return Path(sys.executable)
    key = await asyncio.to_thread(_key, settings)
    environment = settings.cache / "handlers" / key
    python = environment / "bin" / "python"
    if (environment / _COMPLETE).is_file():
        return python
    async with locked(environment.with_suffix(".lock")):
        if not (environment / _COMPLETE).is_file():
            await _make(settings, environment)
    return python


async def _make(settings: HandlerSettings, environment: Path) -> None:
    _log.info("installing requirements", model=settings.model, environment=str(environment))
    await asyncio.to_thread(_empty, environment)
    python = environment / "bin" / "python"
    # The server's own pip is seen from the new environment, too, and making another takes seconds.
    pip = [] if importlib.util.find_spec("pip") is None else ["--without-pip"]
    try:
        async with asyncio.timeout(settings.install_timeout_s):
            await _step(settings, environment, [sys.executable, "-m", "venv", *pip, str(environment)])
            await asyncio.to_thread(_show_servers_packages, environment)
            named = ("-r", settings.requirements.name, *_found_wheels(settings))
            await _step(settings, environment, [str(python), "-m", "pip", *_PIP, *named])
    except TimeoutError:
        raise Unusable(
            f"the requirements of {settings.model} were not installed within {settings.install_timeout_s:g} s"
        ) from None
    (environment / _COMPLETE).touch()
    _log.info("requirements installed", model=settings.model)


def _empty(folder: Path) -> None:
    """Make it anew; a confined program cannot make it itself."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _found_wheels(settings: HandlerSettings) -> list[str]:
    """As DJL Serving does it: a folder `requirements` beside the file holds wheels."""
    return ["--find-links", _WHEELS] if (settings.directory / _WHEELS).is_dir() else []


def _show_servers_packages(environment: Path) -> None:
    """A .pth file adds folders after the environment's own."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    path = environment / "lib" / version / "site-packages" / "servers-packages.pth"
    path.write_text("".join(f"{folder}\n" for folder in folders))


async def _step(settings: HandlerSettings, environment: Path, command: Sequence[str]) -> None:
    """Run one program in the model's folder, its output to the log. Raises Unusable with its last lines.

    Packages run code as they are installed: what the handler is kept from, they are kept from.
    """
    errors: deque[str] = deque(maxlen=_TAIL_LINES)

    def log(line: str) -> None:
        _log.info("pip output", model=settings.model, line=line)
        if line.startswith("ERROR:"):
            errors.append(line)

    try:
        await run(
            _confined(settings, environment, command),
            on_line=log,
            directory=settings.directory,
            environment=_variables(settings),
        )
    except CommandFailed as failed:
        reason = " ".join(errors or failed.tail[-_TAIL_LINES:])
        raise Unusable(
            f"the requirements of {settings.model} cannot be installed: {reason or failed.reason}"
        ) from failed


def _variables(settings: HandlerSettings) -> dict[str, str]:
    """What pip inherits: its own settings, and where it may keep files."""
    if settings.confinement is None:
        return {**settings.environment, **settings.installing}
    own = settings.confinement.environment()
    cache = {"PIP_CACHE_DIR": str(settings.confinement.work / "pip")} if own else {}
    return {**settings.environment, **own, **cache, **settings.installing}


def _confined(settings: HandlerSettings, environment: Path, command: Sequence[str]) -> Sequence[str]:
    if settings.confinement is None:
        return command
    return settings.confinement.command(command, readable=(settings.directory,), writable=(environment,))


def _key(settings: HandlerSettings) -> str:
    """What an environment is made from: the file, what it names in the folder, this Python, its packages."""
    text = settings.requirements.read_text(errors="replace")
    digest = hashlib.sha256(f"{sys.version}\n{sys.prefix}\n{text}".encode())
    packages = Path(sysconfig.get_path("purelib")).glob("*.dist-info")
    digest.update("\n".join(sorted(path.name for path in packages)).encode())
    directory = settings.directory.resolve()
    for file in _named_files(directory, text):
        state = file.stat()
        digest.update(f"{file.relative_to(directory)} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:_KEY_DIGITS]


def _named_files(directory: Path, requirements: str) -> list[Path]:
    """Files of the model's folder that its requirements install from."""
    words = {word for line in requirements.splitlines() for word in _words(line)} | {_WHEELS}
    found: set[Path] = set()
    for word in words:
        path = (directory / word).resolve()
        if directory in path.parents and path.exists():
            found.update(path.rglob("*") if path.is_dir() else [path])
    return sorted(path for path in found if path.is_file())


def _words(line: str) -> list[str]:
    return line.partition("#")[0].replace("=", " ").split()
