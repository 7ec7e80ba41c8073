"""One call of a handler: its input, the output that its reader has yet to take, its time limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nearstream.core.errors import NearstreamError
from nearstream.core.handlers import HandlerHead, HandlerInput

_TRIES = 2


class Call:
    """Between a reader, who takes the output and may leave, and the worker that makes it."""

    __slots__ = (
        "_moved_at",
        "_output",
        "_over",
        "_return_credit",
        "_tries",
        "begun",
        "changed",
        "credit",
        "ended",
        "given",
        "left",
        "started",
    )

    def __init__(self, given: HandlerInput) -> None:
        self.given = given
        self.left = False
        self.begun = False
        self.credit = 0
        """Chunks that the worker may send before the reader has taken one."""
        self.ended = False
        """The worker has finished with it."""
        self.changed = asyncio.Event()
        """It has begun, or ended."""
        self._output: asyncio.Queue[HandlerHead | bytes | NearstreamError | None] = asyncio.Queue()
        self.started = False
        """The user's code has it."""
        self._over = False
        self._tries = 0
        self._moved_at = 0.0
        self._return_credit: Callable[[], None] | None = None

    def submitted(self, now: float, *, credit: int, return_credit: Callable[[], None]) -> None:
        """A worker has it. `return_credit` lets that send one chunk more."""
        self._moved_at = now
        self._tries += 1
        self.credit = credit
        self._return_credit = return_credit

    @property
    def may_go_again(self) -> bool:
        """Whether a worker that is gone never began it; not twice: it may be what ends workers."""
        return not (self.started or self.left or self._over) and self._tries < _TRIES

    def advance(self, output: HandlerHead | bytes, now: float) -> None:
        """The worker has sent more output."""
        self._moved_at = now
        if not self.begun:
            self.begun = True
            self.changed.set()
        if isinstance(output, bytes):
            self.credit -= 1
        if not self._over:
            self._output.put_nowait(output)

    def end(self, error: NearstreamError | None = None) -> None:
        """The worker has finished."""
        self.conclude(error)
        self.ended = True
        self.changed.set()

    def conclude(self, error: NearstreamError | None) -> None:
        """End the output that the reader gets; only the first end counts."""
        if not self._over:
            self._over = True
            self._output.put_nowait(error)

    async def next(self) -> HandlerHead | bytes | None:
        """The next piece of output, None at the end. Raises the error that ended it."""
        output = await self._output.get()
        if isinstance(output, NearstreamError):
            raise output
        return output

    def taken(self, now: float) -> None:
        """The reader wants more."""
        if not self.ended and self._return_credit is not None:
            if self.credit < 1:
                self._moved_at = now
            self.credit += 1
            self._return_credit()

    def due(self, now: float, *, predict_s: float, stream_s: float) -> float:
        """When the worker must have gone on; not before its reader has room for more."""
        limit_s = stream_s if self.begun else predict_s
        waits_for_reader = self.credit < 1 and not self.left
        return (now if waits_for_reader else self._moved_at) + limit_s
