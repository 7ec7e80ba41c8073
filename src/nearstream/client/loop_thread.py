"""An event loop in a thread of its own, for code that does not use asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from nearstream.core.errors import Conflict

T = TypeVar("T")


class LoopThread:
    """Runs coroutines until it is closed. The thread ends with the program, closed or not."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
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
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
