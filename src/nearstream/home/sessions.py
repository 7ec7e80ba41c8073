"""Temporary credentials that the site gave out, kept until some time after they end."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import structlog

from nearstream.core.errors import Overloaded
from nearstream.home.private import write_private

MOST_SESSIONS: Final = 1000
KEPT_S: Final = 3600.0
"""How long an ended session is kept, so that who uses it learns that it ended."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Session:
    """Credentials that hold until `expires_at`, seconds since the epoch."""

    name: str
    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    expires_at: float
    key: str
    """The access key that it was made with, and ends with."""


class Sessions:
    """Every session of a site, in `file` too: they outlive a restart. `clock` tells seconds of the epoch."""

    def __init__(self, file: Path | None, clock: Callable[[], float]) -> None:
        """Without a file they end with the process. One that cannot be read is logged and begun again."""
        self._file = file
        self._clock = clock
        self._by_access_key = {one.access_key: one for one in _read(file)}

    def find(self, access_key: str) -> Session | None:
        """The session of that key, one that ended a short time ago too."""
        return self._by_access_key.get(access_key)

    def begin(self, name: str, duration_s: float, *, by: str) -> Session:
        """A new session, made with the access key `by`, which may be a session's.

        Raises Overloaded when there are too many, Unusable when it cannot be kept.
        """
        now = self._clock()
        known = {key: one for key, one in self._by_access_key.items() if one.expires_at + KEPT_S > now}
        live = sum(one.expires_at > now for one in known.values())
        if live >= MOST_SESSIONS:
            raise Overloaded(f"{live} sessions are open, the most that a site keeps: use one of them.")
        made = Session(
            name=name,
            access_key="ASIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16)),
            secret_key=secrets.token_urlsafe(30),
            token=secrets.token_urlsafe(96),
            expires_at=now + duration_s,
            key=known[by].key if by in known else by,
        )
        # The ended ones make room first.
        kept = sorted(known.values(), key=lambda one: one.expires_at)[-MOST_SESSIONS + 1 :]
        sessions = [*kept, made]
        if self._file is not None:
            write_private(self._file, msgspec.json.encode(sessions))
        self._by_access_key = {one.access_key: one for one in sessions}
        return made


def _read(file: Path | None) -> list[Session]:
    if file is None:
        return []
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Session])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        _log.error("sessions cannot be read; none of them holds", error=str(error))
        return []
