"""Health checks as Route 53 has them: what is checked, how often, and how many results it takes to change
one's mind.

Source: the Route 53 API reference, HealthCheckConfig, and its developer guide, "How Route 53 determines
whether a health check is healthy".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

INTERVALS_S = (10, 30)
MOST_FAILURES = 10
MOST_CHILDREN = 256
MOST_SEARCH_BYTES = 255
READ_BYTES = 5120
_PORTS = range(1, 65_536)
CONNECT_S, HTTP_ANSWER_S, TCP_CONNECT_S = 4.0, 2.0, 10.0

Protocol = Literal["HTTP", "HTTPS", "TCP"]


class BadCheck(ValueError):
    """A health check that cannot be."""


@dataclass(frozen=True, slots=True)
class EndpointCheck:
    """Ask an address; with `search`, a string that the first 5,120 bytes of the answer must hold."""

    protocol: Protocol
    host: str
    port: int
    path: str = "/"
    search: str | None = None
    interval_s: int = 30
    failure_threshold: int = 3
    inverted: bool = False
    disabled: bool = False

    def __post_init__(self) -> None:
        if self.interval_s not in INTERVALS_S:
            raise BadCheck(f"a check runs every 10 or 30 seconds, not every {self.interval_s}")
        if not 1 <= self.failure_threshold <= MOST_FAILURES:
            raise BadCheck(f"a failure threshold is 1 to {MOST_FAILURES}, not {self.failure_threshold}")
        if self.port not in _PORTS:
            raise BadCheck(f"a port is 1 to 65535, not {self.port}")
        if self.search is not None and self.protocol == "TCP":
            raise BadCheck("a TCP check reads no answer, so it takes no search string")
        if self.search is not None and not 1 <= len(self.search) <= MOST_SEARCH_BYTES:
            raise BadCheck(f"a search string has 1 to {MOST_SEARCH_BYTES} characters")


@dataclass(frozen=True, slots=True)
class CalculatedCheck:
    """Healthy when at least `threshold` of other checks are."""

    children: tuple[str, ...]
    threshold: int
    inverted: bool = False
    disabled: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= MOST_CHILDREN:
            raise BadCheck(f"a health threshold is 0 to {MOST_CHILDREN}, not {self.threshold}")
        if len(self.children) > MOST_CHILDREN:
            raise BadCheck(
                f"a calculated check has {MOST_CHILDREN} children at most, not {len(self.children)}"
            )


HealthCheck = EndpointCheck | CalculatedCheck
