"""The account of a site and the key that its clients sign with."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nearstream.core.errors import Missing, Unusable
from nearstream.home.private import write_private


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


def new_access_key() -> str:
    """An access key as AWS forms them."""
    return "AKIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16))
