"""What every dialect gives the model server: a call as first read, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nearstream.core.errors import NearstreamError
from nearstream.core.ports import GenerationCall


@dataclass(frozen=True, slots=True)
class Refusal:
    """A whole response to a call that gets no answer. Of a stream, `body` is its events and `status` 200."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Draft(Protocol):
    """A body of the right shape, before its rules are checked."""

    def exchange(self) -> GenerationCall:
        """Raises Invalid when a rule is broken, Unsupported where no engine could comply."""
        ...

    def refusal(self, error: NearstreamError) -> Refusal:
        """How this call is refused, in its dialect's words; called before the first byte of an answer."""
        ...


class Wording(Protocol):
    """How a server says no where no body was read."""

    def refusal(self, error: NearstreamError) -> Refusal: ...

    def plain(self, status: int, reason: str) -> Refusal:
        """A failure that is HTTP's alone: no such path, a body too large."""
        ...
