"""An event loop in a thread of its own, for code that does not use asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from nearstream.core.errors import Conflict

T = TypeVar("T")


class LoopThread:
    """Runs coroutines until it is closed. The thread ends with the program, closed or not."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._held: list[asyncio.Task[None]] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine's result. An interrupt of the wait cancels it. Raises Conflict once closed."""
        if self.closed:
            coroutine.close()
            raise Conflict(f"{self._thread.name} is closed")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def hold(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter a context, which is left when the thread is closed; what it gives."""
        return self.run(self._hold(context))

    async def _hold(self, context: AbstractAsyncContextManager[T]) -> T:
        entered: asyncio.Future[T] = self._loop.create_future()

        async def keep() -> None:
            try:
                async with context as value:
                    entered.set_result(value)
                    await asyncio.Event().wait()
            except Exception as error:
                if entered.done():
                    raise
                entered.set_exception(error)

        self._held.append(self._loop.create_task(keep()))
        return await entered

    @property
    def closed(self) -> bool:
        return self._loop.is_closed() or not self._thread.is_alive()

    def close(self) -> None:
        """Cancel what still runs and end the thread; safe to call twice."""
        if self.closed:
            return
        if threading.current_thread() is self._thread:  # a collected client: nobody waits for it
            self._loop.stop()
            return
        self.run(self._leave_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _leave_all(self) -> None:
        """Contexts first, in turn, with the tasks that they need; then what is left."""
        for task in reversed(self._held):
            task.cancel()
            await asyncio.wait([task])
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()
