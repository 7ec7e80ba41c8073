"""What every dialect gives the model server: a call as first read, before its rules are checked."""

from __future__ import annotations

from typing import Protocol

from nearstream.core.errors import NearstreamError
from nearstream.core.ports import Exchange


class Draft(Protocol):
    """A body of the right shape. Where it asks for a stream, even its refusal is one."""

    @property
    def stream(self) -> bool: ...

    @property
    def content_type(self) -> str:
        """Of the stream."""
        ...

    def exchange(self) -> Exchange:
        """Raises Invalid when a rule is broken, Unsupported where no engine could comply."""
        ...

    def broken(self, error: NearstreamError) -> bytes:
        """The whole body of a stream that fails before it begins."""
        ...
