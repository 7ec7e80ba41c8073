"""An engine behind a batch: each answer waits for its place, is timed token by token, and can be aborted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import EngineRequest, Step
from nearstream.core.ports import Engine
from nearstream.replica.batch import Batch
from nearstream.replica.calls import current


class ScheduledEngine:
    """An `Engine` around another, for tasks that work for a `Call`.

    A place is free again when the answer is made, though its reader may be slow to take it.
    """

    def __init__(self, engine: Engine, batch: Batch) -> None:
        self._engine = engine
        self._batch = batch

    async def generate(
        self, request: EngineRequest, *, on_end: Callable[[], None] | None = None
    ) -> AsyncGenerator[Step, None]:
        """See `Engine.generate`; GenerationFailed also when the call is aborted."""
        call = current()
        tokens, most = len(request.prompt), request.max_new_tokens
        generation = call.generation(tokens, most)
        try:
            async with self._batch.place(tokens + most, priority=call.priority) as leave:
                generation.admitted()

                def ended() -> None:
                    leave()
                    if on_end is not None:
                        on_end()

                steps = self._engine.generate(request, on_end=ended)
                async with aclosing(steps):
                    async for step in steps:
                        generation.stepped(len(step.token_ids))
                        generation.finished = step.finish is not None
                        generation.waiting = False
                        yield step
                        generation.check()
                        generation.waiting = True
        except GeneratorExit:
            generation.closed = True
            raise
        except asyncio.CancelledError as error:
            raise generation.cancelled(error) from None
        except NearstreamError as error:
            call.failed(error)
            raise
        finally:
            generation.waiting = False

    async def healthy(self) -> bool:
        return await self._engine.healthy()

    async def aclose(self) -> None:
        await self._engine.aclose()
