"""Server-sent events, both ways: https://html.spec.whatwg.org/multipage/server-sent-events.html.

We write one `data:` line an event, and an empty comment to keep a connection alive. We read all that the
specification allows, cut anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nearstream.wire.framing.lines import LineDecoder

CONTENT_TYPE = "text/event-stream"
COMMENT = b":\n\n"
"""What every reader skips."""


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
    """Feed it bytes as they arrive; it gives the events that they complete. Raises Invalid for a line without
    end.
    """

    def __init__(self) -> None:
        self._lines = LineDecoder(lone_returns=True)
        self._data: list[bytes] = []
        self._event = ""

    def feed(self, data: bytes) -> list[Event]:
        return self._events(self._lines.feed(data))

    def flush(self) -> list[Event]:
        """At the end of the stream: the last event, if its blank line never came."""
        return self._events([*self._lines.flush(), b""])

    def _events(self, lines: list[bytes]) -> list[Event]:
        return [event for line in lines if (event := self._line(line))]

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
