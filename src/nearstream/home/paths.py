"""The home folder: one site's state on disk, its identity, and the lock that keeps a second one out."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from nearstream.core.errors import Unusable
from nearstream.home import keys, locks
from nearstream.home.keys import Credentials
from nearstream.home.locks import Running

# What a start writes at least: the database with its journal, the first log.
FREE_BYTES = 8 * 1024 * 1024
# The kernel takes 108 bytes (macOS 104) for a socket's path, its end included.
SOCKET_PATH_BYTES = 100


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one home folder."""

    path: Path

    @property
    def database(self) -> str:
        return f"sqlite+aiosqlite:///{self.path / 'state.db'}"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def credentials_file(self) -> Path:
        return self.path / "credentials.json"

    @property
    def keys_file(self) -> Path:
        return self.path / "keys.json"

    @property
    def management_key_file(self) -> Path:
        return self.path / "management.key"

    @property
    def authority_file(self) -> Path:
        """The key and the certificate of the site's authority."""
        return self.path / "authority.pem"

    @property
    def bundle_file(self) -> Path:
        """Every authority that a client of this site trusts: the site's, and those of its machine."""
        return self.path / "ca-bundle.pem"

    @property
    def sessions_file(self) -> Path:
        return self.path / "sessions.json"

    @property
    def lock_file(self) -> Path:
        return self.path / "frontdoor.lock"

    def create(self) -> None:
        """Make the folder, for its owner alone. Raises Unusable, also when its disk is full."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            free_bytes = shutil.disk_usage(self.path).free
        except OSError as error:
            raise Unusable(f"The home folder {self.path} cannot be made: {error.strerror}.") from error
        if free_bytes < FREE_BYTES:
            raise Unusable(
                f"The disk of the home folder {self.path} is full: {free_bytes // 1024} KiB are free, "
                f"{FREE_BYTES // 1024} KiB are needed for state and logs. "
                f"Free some, or choose another --home."
            )

    def credentials(self) -> Credentials:
        """The identity made at first start. Raises Missing when nothing was started on this home yet."""
        return keys.read_credentials(self.credentials_file)

    def ensure_credentials(self, region: str) -> Credentials:
        """Read the identity, or make one; the region given at first start stays."""
        return keys.ensure_credentials(self.credentials_file, region)

    def ensure_management_key(self) -> str:
        """The key that model servers of this home take from those who manage them. Raises Unusable."""
        self.create()
        return keys.ensure_management_key(self.management_key_file)

    def lock(self, url: str) -> AbstractContextManager[None]:
        """Hold the home for this process; the lock falls with it, however it ends. Raises Conflict."""
        return locks.held_by_this(self.lock_file, url)

    def running(self) -> Running | None:
        """The front door that holds this home now, or None."""
        return locks.holder(self.lock_file)


def sockets_of(home: Path) -> Path:
    """The folder of a home's sockets: `run`, or a short one elsewhere where the kernel takes no such path."""
    run = home / "run"
    if len(os.fsencode(run / "r-0123456789.sock")) <= SOCKET_PATH_BYTES:
        return run
    mark = hashlib.blake2s(os.fsencode(run.absolute()), digest_size=5).hexdigest()
    return Path(tempfile.gettempdir()) / f"nearstream-{os.geteuid()}-{mark}"
