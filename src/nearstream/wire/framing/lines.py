"""Lines out of bytes that arrive cut anywhere, as JSON lines and server-sent events are read."""

from __future__ import annotations

from typing import Final

from nearstream.core.errors import Invalid

MAX_LINE_BYTES: Final = 24 * 1024 * 1024
"""As much as SageMaker puts into one part of a stream."""


class LineDecoder:
    """Feed it bytes as they arrive; it gives the lines that they complete, without their ends.

    A line ends with a line feed, alone or after a carriage return; with `lone_returns` also with a carriage
    return alone, as server-sent events have it. Raises Invalid for a line longer than `max_bytes`.
    """

    def __init__(self, *, lone_returns: bool = False, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._lone_returns = lone_returns
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._searched = 0
        """No line ends before here, so that a long line is not searched again with every piece of it."""

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += data
        lines, start, at = [], 0, self._searched
        while (found := self._end_of_line(at)) is not None:
            end, at = found
            lines.append(bytes(buffer[start:end]))
            start = at
        del buffer[:start]
        # A carriage return at the very end is looked at again: its line feed may come with the next bytes.
        self._searched = len(buffer) - buffer.endswith(b"\r")
        if len(buffer) > self._max_bytes:
            raise Invalid(f"a line of the stream is longer than {self._max_bytes} bytes")
        return lines

    def flush(self) -> list[bytes]:
        """At the end of the stream: the last line, where its end never came."""
        rest = bytes(self._buffer).removesuffix(b"\r")
        ended = bool(self._buffer) and self._lone_returns and self._buffer.endswith(b"\r")
        self._buffer.clear()
        self._searched = 0
        return [rest] if rest or ended else []

    def _end_of_line(self, at: int) -> tuple[int, int] | None:
        """Where the line ends that `at` is in, and where the next one begins."""
        buffer = self._buffer
        feed = buffer.find(b"\n", at)
        if self._lone_returns:
            carriage = buffer.find(b"\r", at, len(buffer) if feed < 0 else feed)
            if carriage >= 0 and carriage + 1 < len(buffer):
                return carriage, carriage + 1 + (buffer[carriage + 1] == ord("\n"))
        if feed < 0:
            return None
        return feed - (feed > 0 and buffer[feed - 1] == ord("\r")), feed + 1
