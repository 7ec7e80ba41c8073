"""Tasks that live as long as a block of code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def alongside(*work: Coroutine[None, None, None]) -> AsyncIterator[asyncio.TaskGroup]:
    """Run `work` while the block runs and cancel it at the end of the block.

    If one of them fails, the block is cancelled. The first error, of the block or of a task, comes out as
    itself and not in a group; further ones are its cause. Tasks that the block adds to the group that it is
    given are not cancelled at its end but waited for.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one) for one in work]
            try:
                yield tasks
            finally:
                for task in running:
                    task.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from (group if len(group.exceptions) > 1 else None)
