"""All the answers of one call, generated at once and told as one line of deltas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from nearstream.core.generation import Delta
from nearstream.replica.answer import Prompt, deltas
from nearstream.replica.readiness import ServedModel
from nearstream.tasks import alongside

_Made = asyncio.Queue[Delta | Exception]


@asynccontextmanager
async def answers(prompts: Sequence[Prompt], model: ServedModel) -> AsyncIterator[AsyncIterator[Delta]]:
    """Deltas as they are made, each with its answer's index. Leaving the block aborts the engine's work.

    Whichever answer fails first ends all of them.
    """
    if len(prompts) == 1:
        async with aclosing(deltas(prompts[0], model)) as only:
            yield only
        return
    made: _Made = asyncio.Queue(maxsize=len(prompts))  # a reader that is slow holds every answer back
    makers = [_make(prompt, model, made) for prompt in prompts]
    async with alongside(*makers), aclosing(_taken(made, len(prompts))) as together:
        yield together


async def _make(prompt: Prompt, model: ServedModel, made: _Made) -> None:
    try:
        async with aclosing(deltas(prompt, model)) as answer:
            async for delta in answer:
                await made.put(delta)
    except Exception as error:  # noqa: BLE001 - whatever it is, the reader raises it
        await made.put(error)


async def _taken(made: _Made, left: int) -> AsyncGenerator[Delta, None]:
    while left:
        delta = await made.get()
        if isinstance(delta, Exception):
            raise delta
        left -= delta.finish is not None
        yield delta
