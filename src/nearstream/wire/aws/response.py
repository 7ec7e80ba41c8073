"""The HTTP response of an AWS service, whole and ready to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AwsResponse:
    """Status, headers and body; the listener adds the length and the date."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
