"""A streamed answer as its caller sees it: pieces of text as they come, and what is known of the whole."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Self

from nearstream.client.token_events import Usage
from nearstream.client.token_reader import TokenReader
from nearstream.core.errors import StreamFailed, TimedOut
from nearstream.core.ports import Clock


class _Progress:
    """How far an answer has come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_s = clock()
        self._reader = TokenReader()
        self._ready: deque[str] = deque()
        self._texts: list[str] = []
        self._ttft_s: float | None = None
        self._ended = self._failed = False

    @property
    def text(self) -> str:
        """All the text so far."""
        return "".join(self._texts)

    @property
    def ttft_s(self) -> float | None:
        """Time to first token: seconds from the call to the first text; None before it has come."""
        return self._ttft_s

    @property
    def usage(self) -> Usage:
        """How many tokens the answer took, as far as the service has said; complete at the end."""
        return self._reader.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, in the service's own word; None before it has, or where it does not say."""
        return self._reader.finish_reason

    def _take(self, data: bytes | None) -> None:
        """Bytes that came; None at the end of the stream."""
        self._ended = self._ended or data is None
        self._ready.extend(self._reader.finish() if data is None else self._reader.feed(data))

    def _next_piece(self) -> str:
        piece = self._ready.popleft()
        if self._ttft_s is None:
            self._ttft_s = self._clock() - self._started_s
        self._texts.append(piece)
        return piece

    def _has_ended(self) -> bool:
        """Whether nothing more comes. Raises the error that the stream ended with, once."""
        failure = self._reader.failure
        if failure is not None and not self._failed:
            self._failed = True
            raise failure
        return self._ended or self._failed

    def _note(self, error: BaseException) -> None:
        """What came before an error goes with it."""
        if isinstance(error, StreamFailed | TimedOut):
            error.text = self.text

    def _forget_rest(self) -> None:
        self._ended = self._failed = True
        self._ready.clear()


class TextStream(_Progress):
    """A streamed answer: iterate over it for its pieces of text, each as soon as it is there.

        with client.stream("Tell me a story.") as stream:
            for piece in stream:
                print(piece, end="", flush=True)
        print(stream.ttft_s, stream.usage)

    `text` is all of it so far; `read()` waits for the rest. Leaving the `with` block, or `close()`, ends the
    call at once and the model stops. Raises StreamFailed for an error inside the stream and TimedOut, both
    with the `text` so far; CallFailed or Unreachable before the first piece.
    """

    def __init__(
        self, data: Iterator[bytes], close: Callable[[], None], *, clock: Clock = time.perf_counter
    ) -> None:
        super().__init__(clock)
        self._data = data
        self._close = close

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while not self._ready:
            try:
                ended = self._has_ended()
                if not ended:
                    self._take(next(self._data, None))
            except BaseException as error:
                self._note(error)
                self.close()
                raise
            if ended:
                self.close()
                raise StopIteration
        return self._next_piece()

    def read(self) -> str:
        """Wait for the rest; the whole text."""
        for _ in self:
            pass
        return self.text

    def close(self) -> None:
        """End the call now; safe to call twice. What came stays in `text`."""
        self._forget_rest()
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncTextStream(_Progress):
    """A streamed answer: `async for` over it gives its pieces of text, each as soon as it is there.

        async with client.stream("Tell me a story.") as stream:
            async for piece in stream:
                print(piece, end="", flush=True)
        print(stream.ttft_s, stream.usage)

    `text` is all of it so far; `await read()` waits for the rest. Leaving the block, `aclose()`, or
    cancelling the task that reads ends the call at once and the model stops. Raises as TextStream does.
    """

    def __init__(
        self,
        data: AsyncIterator[bytes],
        close: Callable[[], Awaitable[None]],
        *,
        clock: Clock = time.perf_counter,
    ) -> None:
        super().__init__(clock)
        self._data = data
        self._close = close

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while not self._ready:
            try:
                ended = self._has_ended()
                if not ended:
                    self._take(await anext(self._data, None))
            except BaseException as error:
                self._note(error)
                await self.aclose()
                raise
            if ended:
                await self.aclose()
                raise StopAsyncIteration
        return self._next_piece()

    async def read(self) -> str:
        """Wait for the rest; the whole text."""
        async for _ in self:
            pass
        return self.text

    async def aclose(self) -> None:
        """End the call now; safe to call twice. What came stays in `text`."""
        self._forget_rest()
        await self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
