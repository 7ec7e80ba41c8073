"""How many calls are answered at once; one too many is refused at the door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nearstream.core.errors import Overloaded


class Admission:
    """Counts the calls under way. Nobody waits here: the engine's own queue is the only one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.under_way = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Raises Overloaded when `limit` calls are inside."""
        if self.under_way >= self._limit:
            raise Overloaded(f"{self._limit} calls are under way, the most this server takes")
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
