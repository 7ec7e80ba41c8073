"""A finished call as a tree of spans, for whoever keeps traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time that began and ended so many seconds ago. `error`: why it failed, in a word."""

    name: str
    began_s: float
    ended_s: float
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    parts: tuple[Span, ...] = ()
    error: str | None = None


Trace = Callable[[Span, Mapping[str, str]], None]
"""Takes a call's span, and the call's headers: the trace that their `traceparent` names is continued."""


def untraced(span: Span, headers: Mapping[str, str]) -> None:
    """Keeps nothing."""
