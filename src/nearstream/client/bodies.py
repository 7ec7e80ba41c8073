"""The framings of a streamed answer's body: as it is, or in the parts of SageMaker's event stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from nearstream.core.errors import StreamFailed
from nearstream.wire.framing import eventstream


class StreamedBody(Protocol):
    """Bytes off the connection in, cut anywhere; the container's bytes out."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Raises StreamFailed for an error in the stream, Invalid for bytes that are none."""
        ...

    def end(self) -> None:
        """The connection has ended. Raises Invalid where that was too early."""
        ...


class PlainBody:
    """A model server's own bytes."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def end(self) -> None:
        """Only the container's format knows."""


class EventStreamBody:
    """SageMaker's event stream: each PayloadPart's bytes."""

    def __init__(self) -> None:
        self._decoder = eventstream.Decoder()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for message in self._decoder.feed(data):
            if message.is_exception:
                raise _failure(message)
            if message.headers.get(":event-type", "PayloadPart") == "PayloadPart":
                yield message.payload

    def end(self) -> None:
        self._decoder.flush()


def _failure(message: eventstream.Message) -> StreamFailed:
    """An exception has its words in its payload, an error in its headers."""
    headers = message.headers
    kind = headers.get(":exception-type") or headers.get(":error-code") or "ModelStreamError"
    try:
        document = msgspec.json.decode(message.payload)
    except msgspec.DecodeError:
        document = None
    told = document if isinstance(document, dict) else {}
    return StreamFailed(kind, str(told.get("Message") or headers.get(":error-message", "")))
