"""What code that a deployer brings is kept from: the site's secrets, and files that are not its own."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nearstream.handlers.runtime import confined

_PROGRAM = Path(confined.__file__)
# Where people and programs keep keys, below a home folder.
PRIVATE_FILES = (
    ".aws", ".azure", ".config/gcloud", ".config/gh", ".docker", ".git-credentials", ".gnupg", ".kube",
    ".my.cnf", ".netrc", ".pgpass", ".pypirc", ".ssh", ".cache/huggingface/token",
    ".cache/huggingface/stored_tokens",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Confinement:
    """`hidden` folders and files cannot be read; `work` is where it may write, beside its model's folder."""

    hidden: tuple[Path, ...]
    work: Path

    def prepare(self) -> None:
        """Make the folder to work in, for its owner alone. Raises OSError."""
        for folder in (self.work, self.work / "tmp"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def command(
        self, command: Sequence[str], *, readable: Sequence[Path], writable: Sequence[Path]
    ) -> tuple[str, ...]:
        """`command`, confined, where the kernel has Landlock; `command` itself where it has not."""
        if not in_force():
            return tuple(command)
        rules = {
            "hidden": [str(path) for path in self.hidden if path.exists()],
            "readable": [str(path) for path in (*_python(), *readable)],
            "writable": [str(path) for path in (Path("/dev"), self.work, *writable)],
        }
        return (sys.executable, "-I", "-S", str(_PROGRAM), json.dumps(rules), *command)

    def environment(self) -> dict[str, str]:
        """Where a confined program finds a home and a place for temporary files."""
        return {"HOME": str(self.work), "TMPDIR": str(self.work / "tmp")} if in_force() else {}


def in_force() -> bool:
    """Whether the kernel confines programs."""
    return sys.platform == "linux" and confined.release() > 0


def private_files(home: Path) -> tuple[Path, ...]:
    """Keys of a user, below the home folder."""
    return tuple(home / name for name in PRIVATE_FILES)


def _python() -> tuple[Path, ...]:
    """This interpreter, its packages and the programs of the runtime, wherever they are."""
    packages = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return (Path(sys.prefix), Path(sys.base_prefix), *map(Path, packages), _PROGRAM.parent)
