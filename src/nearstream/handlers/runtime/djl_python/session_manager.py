"""State of conversations, which a handler keeps between calls: one folder of files for each session.

The workers of a model, and its next process, see the same sessions. Only this user can read and write the
files; values are pickled, so a folder that others can write to is refused.
"""

from __future__ import annotations

import os
import pickle
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import optional

NEW_SESSION = "NEW_SESSION"
EXPIRATION_S = 20 * 60
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENDS = ".expiration_ts"
_MEMORY = Path("/dev/shm")  # noqa: S108 - its folder there is this user's alone
_OTHERS_WRITE = 0o022


class Session:
    """One conversation. Values are kept by key."""

    def __init__(self, session_id: str, session_root: str, expiration_ts: float | None = None) -> None:
        self.session_id = session_id
        self.files_path = os.path.join(session_root, session_id)  # noqa: PTH118 - DJL's is a text, too
        self.expiration_ts: float | None = self.get(_ENDS) if expiration_ts is None else expiration_ts

    def put(self, key: str, value: Any) -> None:
        """Keep a value that can be pickled. A reader in another process sees it whole, or the one before."""
        path = self._path(key)
        begun = path.with_name(f".{uuid.uuid4()}.begun")
        begun.write_bytes(pickle.dumps(value))
        begun.replace(path)

    def get(self, key: str, d: Any = None) -> Any:
        """The value under `key`, or `d`."""
        path = self._path(key)
        if not path.is_file():
            return d
        return pickle.loads(path.read_bytes())  # noqa: S301 - see the module's text

    def get_as_numpy(self, key: str, shape: Any, dtype: Any = None, create: bool = False) -> Any:
        """An array whose changes are kept, float32 without `dtype`; with `create` one of zeros."""
        np = optional.numpy()
        path = self._path(key)
        if create:
            path.write_bytes(b"")
        return np.memmap(path, dtype=np.float32 if dtype is None else dtype, mode="r+", shape=shape)

    def remove(self) -> bool:
        """Forget all of it. Raises ValueError where it is gone already."""
        if not Path(self.files_path).is_dir():
            raise ValueError(f"session directory does not exist: {self.session_id}")
        shutil.rmtree(self.files_path)
        return True

    def _path(self, key: str) -> Path:
        name = key.replace("/", "-")
        if not name or name in (".", ".."):
            raise ValueError(f"{key!r} is no key for a value of a session")
        return Path(self.files_path, name)


class SessionManager:
    """The sessions of a model. `properties`: `sessions_path` and `sessions_expiration`, seconds."""

    def __init__(
        self,
        properties: Mapping[str, Any],
        clock: Callable[[], float] = time.time,  # noqa: TID251 - sessions end at a date
    ) -> None:
        self.expiration = int(properties.get("sessions_expiration", EXPIRATION_S))
        self.sessions_path = str(properties.get("sessions_path") or _default_path())
        self._clock = clock
        if properties.get("sessions_s3url"):
            raise ValueError("sessions_s3url is set, and sessions are not copied to S3 here: leave it out")
        root = Path(self.sessions_path)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.stat()
        if found.st_uid != os.getuid() or found.st_mode & _OTHERS_WRITE:
            raise ValueError(
                f"{root} must be this user's own, and no other may write to it: set sessions_path"
            )

    def create_session(self) -> Session:
        """A new session; those whose time is over are removed."""
        self._remove_expired()
        session_id = str(uuid.uuid4())
        Path(self.sessions_path, session_id).mkdir(mode=0o700)
        session = Session(session_id, self.sessions_path, self._clock() + self.expiration)
        session.put(_ENDS, session.expiration_ts)
        return session

    def get_session(self, session_id: str | None) -> Session | None:
        """None without an id, for NEW_SESSION and once its time is over. Raises ValueError for others."""
        if not session_id or session_id == NEW_SESSION:
            return None
        session = self._known(session_id)
        return None if self._expired(session) else session

    def close_session(self, session_id: str | None) -> None:
        """Raises ValueError for one that is not open."""
        if not session_id:
            raise ValueError(f"invalid session_id: {session_id}")
        self._known(session_id).remove()

    def _known(self, session_id: str) -> Session:
        if not _ID.fullmatch(session_id) or not Path(self.sessions_path, session_id).is_dir():
            raise ValueError(f"session not found: {session_id}")
        return Session(session_id, self.sessions_path)

    def _expired(self, session: Session) -> bool:
        return session.expiration_ts is not None and self._clock() > session.expiration_ts

    def _remove_expired(self) -> None:
        for path in Path(self.sessions_path).iterdir():
            if _ID.fullmatch(path.name) and self._expired(Session(path.name, self.sessions_path)):
                shutil.rmtree(path, ignore_errors=True)


def _default_path() -> Path:
    root = _MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())
    return root / f"djl_sessions-{os.getuid()}"
