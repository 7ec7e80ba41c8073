"""How long a client's call may take, and how often it is tried."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

from nearstream.core.errors import Limit, TimedOut
from nearstream.core.ports import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """The time limits of one call, in seconds; None is no limit. TimedOut names the one that passed.

    `connect_s` is for making the connection; `first_byte_s` from sending the request to the first byte of the
    answer; `between_tokens_s` for each silence after it; `total_s` for the whole call with all its tries.
    """

    connect_s: float | None = 5.0
    first_byte_s: float | None = 120.0
    between_tokens_s: float | None = 60.0
    total_s: float | None = 600.0


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is tried, `attempts` in all, and how long to wait in between.

    Tried again: a connection that cannot be made or is closed before the answer begins, and the answers that
    say "later" (429, 502, 503, 504, ThrottlingException). Never once a byte of the answer has come. The wait
    begins at `first_wait_s` and doubles up to `longest_wait_s`.
    """

    attempts: int = 3
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0

    def wait_s(self, attempt: int) -> float:
        """How long to wait after `attempt` tries."""
        return min(self.first_wait_s * 2.0 ** (attempt - 1), self.longest_wait_s)


ONCE: Final = Retries(attempts=1)


class CallTime:
    """The clock of one call: bounds each of its waits by that wait's own limit and by the total."""

    def __init__(self, limits: TimeLimits, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._ends_s = None if limits.total_s is None else clock() + limits.total_s

    async def within(self, limit: Limit, waiting: Awaitable[T]) -> T:
        """Wait, as long as `limit` allows. Raises TimedOut."""
        limit_s: float | None = getattr(self.limits, f"{limit}_s")
        left_s = None if self._ends_s is None else self._ends_s - self._clock()
        if left_s is not None and (limit_s is None or left_s < limit_s):
            limit, limit_s = "total", self.limits.total_s
        else:
            left_s = limit_s
        bound = asyncio.timeout(left_s)
        try:
            async with bound:
                return await waiting
        except TimeoutError:
            if not bound.expired():
                raise  # one of the HTTP library's own
            raise TimedOut(limit, limit_s or 0.0) from None
