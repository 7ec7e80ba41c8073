"""The calls that wait for a worker, handed out one by one, or as batches: DJL's dynamic batching."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from nearstream.core.errors import NearstreamError, Overloaded
from nearstream.handlers.calls import Call


class CallQueue:
    """At most `capacity` calls wait, over those that free workers are about to take, `room`."""

    def __init__(self, model: str, *, capacity: int, batch_size: int, delay_s: float) -> None:
        self._model = model
        self._capacity = capacity
        self._batch_size = batch_size
        self._delay_s = delay_s
        self._calls: deque[Call] = deque()
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call, *, room: int) -> None:
        """Put a call at the end. Raises Overloaded when the queue is full."""
        if len(self._calls) >= self._capacity + room:
            raise Overloaded(f"Worker queue capacity exceeded for model: {self._model}")
        self._calls.append(call)
        self._changed.set()

    def put_back(self, calls: Sequence[Call]) -> None:
        """Put calls that no handler has begun back to the front."""
        self._calls.extendleft(reversed(calls))
        self._changed.set()

    def remove(self, call: Call) -> bool:
        """Take out a call whose reader has left; False when it does not wait here."""
        if call not in self._calls:
            return False
        self._calls.remove(call)
        return True

    def fail(self, error: Callable[[], NearstreamError]) -> None:
        """End every call that waits."""
        while self._calls:
            self._calls.popleft().end(error())

    async def take(self, *, patience_s: float) -> list[Call]:
        """The next call, or as many as come within the delay and make a batch; none after `patience_s`."""
        try:
            async with asyncio.timeout(patience_s) as patience, self._turn:
                while True:
                    await self._grown(0)
                    patience.reschedule(None)
                    await self._filled()
                    if self._calls:
                        return [self._calls.popleft() for _ in range(min(self._batch_size, len(self)))]
        except TimeoutError:
            return []

    async def _filled(self) -> None:
        """Wait until there is a whole batch, or the delay is over."""
        if self._batch_size > 1:
            try:
                async with asyncio.timeout(self._delay_s):
                    await self._grown(self._batch_size - 1)
            except TimeoutError:
                return

    async def _grown(self, size: int) -> None:
        while len(self._calls) <= size:
            self._changed.clear()
            await self._changed.wait()
