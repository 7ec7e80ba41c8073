"""Who may call: access keys, and the caller that a verified signature proves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credential:
    """One access key and whom it belongs to. A key with a session token is worth nothing without it."""

    access_key: str
    secret_key: str = field(repr=False)
    account: str
    arn: str = ""
    session_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    """Seconds since the epoch; None for a key that lasts."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The verified caller, and the region and service that the signature is scoped to."""

    access_key: str
    account: str
    arn: str
    region: str
    service: str


Lookup = Callable[[str], Credential | None]
"""Finds a credential by its access key."""
