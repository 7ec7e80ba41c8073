"""Schedules generations: as many requests and tokens at once as fit; the others wait in a queue."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import IntEnum

from nearstream.core.errors import Overloaded

_Waiter = tuple["Priority", int, int, asyncio.Future[None]]


class Priority(IntEnum):
    """The order of the queue; equals in the order of their arrival."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Scheduler:
    """Admits at most `max_size` requests, together at most `max_tokens` of prompt and answer; None: no limit.

    At most `max_waiting` wait for a place. The first in the queue is never overtaken by a smaller one.
    """

    def __init__(self, *, max_size: int | None, max_tokens: int | None, max_waiting: int) -> None:
        self._max_size = max_size
        self._max_tokens = max_tokens
        self._max_waiting = max_waiting
        self._queue: list[_Waiter] = []
        self._arrivals = itertools.count()
        self.size = 0
        """Requests that have a place."""
        self.tokens = 0
        """Tokens that these may come to hold."""

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @asynccontextmanager
    async def place(
        self, tokens: int, *, priority: Priority = Priority.NORMAL
    ) -> AsyncIterator[Callable[[], None]]:
        """Wait for a place and keep it to the end of the block, or until what this gives is called.

        A request larger than `max_tokens` runs alone. Raises Overloaded.
        """
        if self._queue or not self._fits(tokens):
            await self._wait(tokens, priority)
        else:
            self._take(tokens)
        kept = True

        def leave() -> None:
            nonlocal kept
            if kept:
                kept = False
                self._leave(tokens)

        try:
            yield leave
        finally:
            leave()

    def _fits(self, tokens: int) -> bool:
        if self._max_size is not None and self.size >= self._max_size:
            return False
        return self._max_tokens is None or not self.size or self.tokens + tokens <= self._max_tokens

    def _take(self, tokens: int) -> None:
        self.size += 1
        self.tokens += tokens

    def _leave(self, tokens: int) -> None:
        self.size -= 1
        self.tokens -= tokens
        self._fill()

    async def _wait(self, tokens: int, priority: Priority) -> None:
        if self.waiting >= self._max_waiting:
            raise Overloaded(f"{self.waiting} requests wait for a place in the batch, the most that may")
        place = asyncio.get_running_loop().create_future()
        waiter = priority, next(self._arrivals), tokens, place
        heapq.heappush(self._queue, waiter)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was given in the same moment
                self._leave(tokens)
            elif waiter in self._queue:
                self._queue.remove(waiter)
                heapq.heapify(self._queue)
                self._fill()
            raise

    def _fill(self) -> None:
        while self._queue and (self._queue[0][3].cancelled() or self._fits(self._queue[0][2])):
            _, _, tokens, place = heapq.heappop(self._queue)
            if not place.cancelled():
                self._take(tokens)
                place.set_result(None)
