"""Waiting for what no event announces: the state of another process, of a socket, of a file."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable

PATIENCE_S = 30.0
INTERVAL_S = 0.002


async def until(condition: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Look until the condition, or what it awaits, is true; raise TimeoutError after `within_s`."""
    async with asyncio.timeout(within_s):
        while not await _outcome(condition):  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(INTERVAL_S)


def eventually(condition: Callable[[], object], what: str, *, within_s: float = 60.0) -> None:
    """The same outside an event loop, less often, as the conditions are commands and connections."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.05)


async def _outcome(condition: Callable[[], object]) -> object:
    found = condition()
    return await found if inspect.isawaitable(found) else found
