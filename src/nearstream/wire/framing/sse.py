"""Server-sent events, both ways: https://html.spec.whatwg.org/multipage/server-sent-events.html.

We write one `data:` line an event, and an empty comment to keep a connection alive. We read all that the
specification allows, cut anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

CONTENT_TYPE = "text/event-stream"
COMMENT = b":\n\n"
"""What every reader skips."""
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """One event as received; several `data:` lines are joined by line feeds."""

    data: bytes
    event: str = "message"


def frame(data: bytes, *, space: bool = True) -> bytes:
    """One event. `data` holds no line break, which compact JSON never does."""
    return b"%b%b\n\n" % (field(space=space), data)


def field(*, space: bool = True) -> bytes:
    """What an event begins with; clients take it with and without the space."""
    return b"data: " if space else b"data:"


def split(payload: bytes) -> Iterator[bytes]:
    """The events of `payload`, which holds whole ones only, as they stand."""
    start = 0
    while start < len(payload):
        end = payload.find(b"\n\n", start) + 2
        yield payload[start:end]
        start = end


class Decoder:
    """Feed it bytes as they arrive; it gives the events that they complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._event = ""

    def feed(self, data: bytes) -> list[Event]:
        buffer = self._rest + data
        events, start = [], 0
        for end in _LINE_END.finditer(buffer):
            if end.end() == len(buffer) and end.group() == b"\r":
                break  # its line feed may come with the next bytes
            if event := self._line(buffer[start : end.start()]):
                events.append(event)
            start = end.end()
        self._rest = buffer[start:]
        return events

    def flush(self) -> list[Event]:
        """At the end of the stream: the last event, if its blank line never came."""
        return self.feed(b"\n\n")

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._event = value.decode(errors="replace")
        return None

    def _dispatch(self) -> Event | None:
        data, name = self._data, self._event
        self._data, self._event = [], ""
        return Event(b"\n".join(data), name or "message") if data else None
