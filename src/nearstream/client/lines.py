"""The lines of a streamed answer: a drop-in for the LineIterator of AWS's examples."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterator

from nearstream.client.payloads import Body, Part, async_payloads, payloads
from nearstream.wire.framing.lines import LineDecoder


class LineIterator:
    r"""The lines of a streamed answer, as bytes without their line ends, however the parts cut them.

    Takes the place of the class of the same name in AWS's examples; nothing else in the program changes:

        for line in nearstream.LineIterator(response["Body"]):
            if line.startswith(b"data:"):
                ...

    `stream` is boto3's event stream, or any iterable of bytes. Blank lines come out as b"". A last line
    without a line end comes out too, and the iterator always ends when the stream does. Events that are not
    known are skipped. What boto3 raises (EventStreamError for a ModelStreamError) comes out as it is; the
    same error as a plain event raises StreamFailed. Raises Invalid for a line of more than 24 MiB.
    """

    def __init__(self, stream: Body) -> None:
        self._payloads = payloads(stream)
        self._decoder = LineDecoder()
        self._lines: deque[bytes] = deque()
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while not self._lines and not self._ended:
            data = next(self._payloads, None)
            self._ended = data is None
            self._lines.extend(self._decoder.flush() if data is None else self._decoder.feed(data))
        if self._lines:
            return self._lines.popleft()
        raise StopIteration


class AsyncLineIterator:
    """LineIterator for a stream that is read with `async for`, such as that of aioboto3 or of aiohttp."""

    def __init__(self, stream: AsyncIterable[Part]) -> None:
        self._payloads = async_payloads(stream)
        self._decoder = LineDecoder()
        self._lines: deque[bytes] = deque()
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._lines and not self._ended:
            data = await anext(self._payloads, None)
            self._ended = data is None
            self._lines.extend(self._decoder.flush() if data is None else self._decoder.feed(data))
        if self._lines:
            return self._lines.popleft()
        raise StopAsyncIteration
