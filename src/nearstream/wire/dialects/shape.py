"""The base of the types that describe answers in an OpenAPI document."""

from __future__ import annotations

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is not named here is not sent."""
