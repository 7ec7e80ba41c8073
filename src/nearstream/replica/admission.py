"""How many answers a server accepts at once; further ones are refused immediately."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from nearstream.core.errors import Overloaded


class Admission:
    """Counts the answers under way. Never queues; the scheduler does.

    A call that asks for several answers takes a permit for each, as in TGI (router/src/infer/mod.rs: every
    sequence of `best_of` and every prompt of a batch is a request of its own).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.under_way = 0

    @contextmanager
    def enter(self) -> Iterator[Permits]:
        """The permit of one answer; more may follow. Raises Overloaded when `limit` answers are under way."""
        with ExitStack() as held:
            permits = Permits(held, self._permit)
            permits.take(1)
            yield permits

    @contextmanager
    def _permit(self) -> Iterator[None]:
        if self.under_way >= self._limit:
            raise Overloaded(f"{self._limit} answers are under way, the most this server takes")
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1


class Permits:
    """What one call holds; all of it is given back when the call ends."""

    def __init__(self, held: ExitStack, permit: Callable[[], AbstractContextManager[None]]) -> None:
        self._held = held
        self._permit = permit
        self._count = 0

    def take(self, answers: int) -> None:
        """Hold permits for so many answers in all. Raises Overloaded when there are not that many."""
        while self._count < answers:
            self._held.enter_context(self._permit())
            self._count += 1
