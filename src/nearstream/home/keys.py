"""The account of a site and the keys that its clients sign with."""

from __future__ import annotations

import re
import secrets
import string
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import structlog

from nearstream.core.errors import Conflict, Invalid, Missing, Unusable
from nearstream.home.locks import locked_by_thread
from nearstream.home.private import write_private

OWN_NAME: Final = "site"
"""The name of the key that a home is made with, which `credentials.json` holds."""

MOST_KEYS: Final = 100
RECHECK_S: Final = 1.0

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ACCESS_KEY: Final = re.compile(r"[A-Za-z0-9]{16,128}")
_SECRET: Final = re.compile(r"[\x21-\x7e]{16,128}")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account of this site: what a client signs with. The secret is never logged."""

    account: str
    region: str
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Credentials({self.account!r}, {self.region!r}, access_key={self.access_key!r})"


def read_credentials(file: Path) -> Credentials:
    """The identity made at first start. Raises Missing when nothing was started on this home yet."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Credentials)
    except FileNotFoundError:
        raise Missing(
            f"There is no nearstream home at {file.parent} yet: start one with `nearstream up` "
            f"(or name another folder with --home)."
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise Unusable(f"The credentials in {file} cannot be read: {error}.") from error


def ensure_credentials(file: Path, region: str) -> Credentials:
    """Read the identity, or make one; the region given at first start stays."""
    try:
        return read_credentials(file)
    except Missing:
        pass
    made = Credentials(
        account="".join(secrets.choice(string.digits) for _ in range(12)),
        region=region,
        access_key=new_access_key(),
        secret_key=secrets.token_urlsafe(30),
    )
    write_private(file, msgspec.json.encode(made))
    return made


def ensure_management_key(file: Path) -> str:
    """Read the key, or make one; of two that are made at once the first one stays. Raises Unusable."""
    try:
        if key := file.read_text().strip():
            return key
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"The management key in {file} cannot be read: {error}.") from error
    with locked_by_thread(file.with_name(f"{file.name}.lock")):
        if not file.exists():
            write_private(file, f"{secrets.token_urlsafe(30)}\n".encode())
        return file.read_text().strip()


def new_access_key() -> str:
    """An access key as AWS forms them."""
    return "AKIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16))


@dataclass(frozen=True, slots=True)
class Key:
    """One access key of a site, by the name that its operator gave it."""

    name: str
    access_key: str
    secret_key: str = field(repr=False)


class Keys:
    """Every key that a site takes: its own, and those in `file`. Other processes change that file.

    `find` looks at the file again when it was changed, at most once in `RECHECK_S`; `clock` is monotonic.
    """

    def __init__(self, own: Credentials, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._own = Key(OWN_NAME, own.access_key, own.secret_key)
        self._file = file
        self._clock = clock
        self._seen: tuple[int, int, int] | None = None
        self._looked_at = float("-inf")
        self._by_access_key = {own.access_key: self._own}

    def find(self, access_key: str) -> Key | None:
        """The key with this access key. A file that cannot be read is logged and changes nothing."""
        now = self._clock()
        if now - self._looked_at >= RECHECK_S:
            self._looked_at = now
            try:
                self._look()
            except Unusable as error:
                _log.error("keys cannot be read; those known before are used", error=str(error))
        return self._by_access_key.get(access_key)

    def all(self) -> tuple[Key, ...]:
        """The site's own key first, then by name. Raises Unusable."""
        return (self._own, *sorted(_read(self._file), key=lambda key: key.name))

    def add(self, key: Key) -> None:
        """Raises Conflict for a name or an access key that is there, Invalid for a key that is none."""
        _check(key)
        known = self.all()
        if len(known) >= MOST_KEYS:
            raise Conflict(f"There are {len(known)} keys, the most that a site takes: remove one first.")
        for one in known:
            if key.name == one.name or key.access_key == one.access_key:
                raise Conflict(
                    f"There is a key {one.name!r} with the access key {one.access_key} already: "
                    f"`nearstream keys remove {one.name}`, or choose another name."
                )
        self._write([*known[1:], key])

    def remove(self, name: str) -> None:
        """Raises Missing, and Conflict for the site's own key."""
        if name == OWN_NAME:
            raise Conflict(f"{OWN_NAME!r} is the key that the site's own commands sign with: it stays.")
        known = self.all()[1:]
        left = [key for key in known if key.name != name]
        if len(left) == len(known):
            raise Missing(f"There is no key {name!r}: `nearstream keys list` shows those there are.")
        self._write(left)

    def _write(self, keys: Sequence[Key]) -> None:
        write_private(self._file, msgspec.json.encode(keys))

    def _look(self) -> None:
        seen = _seen(self._file)
        if seen != self._seen:
            self._by_access_key = {key.access_key: key for key in (*_read(self._file), self._own)}
            self._seen = seen


def new_key(name: str) -> Key:
    """A key that nobody knows yet."""
    return Key(name, new_access_key(), secrets.token_urlsafe(30))


def _check(key: Key) -> None:
    if not _NAME.fullmatch(key.name):
        raise Invalid(f"{key.name[:80]!r} is no name for a key: use 1 to 64 letters, digits and . _ -")
    if not _ACCESS_KEY.fullmatch(key.access_key):
        raise Invalid(f"{key.access_key[:80]!r} is no access key: 16 to 128 letters and digits are wanted.")
    if not _SECRET.fullmatch(key.secret_key):
        raise Invalid("That is no secret key: 16 to 128 printable characters without blanks are wanted.")


def _read(file: Path) -> list[Key]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Key])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        raise Unusable(f"The keys in {file} cannot be read: {error}.") from error


def _seen(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
