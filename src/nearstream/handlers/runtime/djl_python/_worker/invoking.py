"""Calls a user's functions in this thread, plain ones and those that are awaited."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from ..outputs import Output
from .answers import checked, input_of
from .calls import Batch
from .loading import Handle, Model, print_failure


class Invoker:
    """One thread's; it has an event loop once something is to be awaited."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def call(self, function: Handle, inputs: Any) -> Any:
        """What the function gives, awaited where that is asked for."""
        result = function(inputs)
        return self.wait(result) if inspect.isawaitable(result) else result

    def wait(self, awaitable: Any) -> Any:
        """What comes of it."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()

        async def waited() -> Any:
            return await awaitable

        return self._loop.run_until_complete(waited())

    def answer(self, model: Model, batch: Batch, common: dict[str, Any]) -> None:
        """Call another function than the handler, whose answer is whole."""
        batch.start()
        output = None
        try:
            inputs = input_of(batch.members, batch.function, common)
            output = checked(self.call(model.named(batch.function), inputs))
            batch.answer(output)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's code raises is told
            batch.fail(error)
        batch.end(output)

    def finalize(self, output: Output) -> None:
        """Do what the Output wants done once it is sent."""
        try:
            output.execute_finalize()
        except Exception as error:  # noqa: BLE001 - a user's function; the answer is sent already
            print_failure(error)
