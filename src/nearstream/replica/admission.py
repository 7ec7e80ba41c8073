"""How many calls are answered at once; one too many is refused at the door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nearstream.core.errors import NearstreamError, Overloaded


class Admission:
    """Counts the calls under way. Nobody waits here: places in the batch are what one waits for.

    `on_failure` hears what ends a call early, also where its client is told inside a stream.
    """

    def __init__(self, limit: int, *, on_failure: Callable[[NearstreamError], None]) -> None:
        self._limit = limit
        self._on_failure = on_failure
        self.under_way = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Raises Overloaded when `limit` calls are inside."""
        try:
            if self.under_way >= self._limit:
                raise Overloaded(f"{self._limit} calls are under way, the most this server takes")
            self.under_way += 1
            try:
                yield
            finally:
                self.under_way -= 1
        except NearstreamError as error:
            self._on_failure(error)
            raise
