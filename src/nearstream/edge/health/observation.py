"""What one checker has seen of one endpoint, and when that changes its mind.

A checker changes its mind after as many results in a row as the failure threshold says, in both directions.
A new one is healthy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nearstream.edge.health.checks import READ_BYTES

_GOOD_STATUSES = range(200, 400)


@dataclass(frozen=True, slots=True)
class Result:
    """One check's outcome, and the sentence that GetHealthCheckStatus gives for it."""

    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Observation:
    """A checker's mind: healthy or not, how many results in a row say otherwise, and the last result."""

    healthy: bool = True
    against: int = 0
    last: Result | None = None

    def after(self, result: Result, *, threshold: int) -> Observation:
        """The mind after one more result."""
        if result.passed == self.healthy:
            return replace(self, against=0, last=result)
        against = self.against + 1
        if against >= threshold:
            return Observation(not self.healthy, 0, result)
        return replace(self, against=against, last=result)


def http_result(status: int, reason: str, body: bytes, *, search: str | None) -> Result:
    """Of an answer that came in time: 2xx and 3xx pass, with the search string in the first 5,120 bytes if
    there is one.
    """
    line = f"HTTP Status Code {status}, {reason}".rstrip(", ")
    if status not in _GOOD_STATUSES:
        return Result(False, f"Failure: {line}")
    if search is None:
        return Result(True, f"Success: {line}")
    if search.encode() in body[:READ_BYTES]:
        return Result(True, f"Success: {line}. Search string found in the response")
    return Result(
        False, f"Failure: {line}. The search string is not in the first {READ_BYTES} bytes of the response"
    )


def tcp_result() -> Result:
    """Of a connection that was made in time."""
    return Result(True, "Success: the TCP connection succeeded")


def failed(reason: str) -> Result:
    """Of a check that got no answer: refused, timed out, reset."""
    return Result(False, f"Failure: {reason}")
