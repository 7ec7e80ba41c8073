"""What a program prints, as lines fit for a log.

A slice at a time: the pipe is not read while lines wait to be written, so a program that prints without end
waits for its log, and the server never does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

_SLICE_LINES = 64
_SLICE_PAUSE_S = 0.002
_LINE_BYTES = 8192
_NEWLINE = re.compile(rb"\n")
_NEWLINE_OR_RETURN = re.compile(rb"[\r\n]")


class Lines:
    """Lines from bytes cut anywhere; one that is too long is handed on in pieces.

    `returns`: a carriage return ends a line, too, as progress bars use it.
    """

    def __init__(self, *, returns: bool = False) -> None:
        self._end = _NEWLINE_OR_RETURN if returns else _NEWLINE
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self, *, last: bool = False) -> str | None:
        """The next line, without its end; None until there is a whole one. `last`: the rest is one, too."""
        end = self._end.search(self._buffer, 0, _LINE_BYTES)
        if end is None:
            if len(self._buffer) < _LINE_BYTES and not (last and self._buffer):
                return None
            line, self._buffer = self._buffer[:_LINE_BYTES], self._buffer[_LINE_BYTES:]
        else:
            line, self._buffer = self._buffer[: end.start()], self._buffer[end.end() :]
        return printable(line.decode(errors="replace").rstrip("\r"))


class LinePump:
    """Hands the lines of one pipe to `write`, pausing the pipe meanwhile."""

    def __init__(
        self, write: Callable[[str], None], *, pause: Callable[[], None], resume: Callable[[], None]
    ) -> None:
        self._write = write
        self._pause = pause
        self._resume = resume
        self._lines = Lines()
        self._busy = False

    def feed(self, data: bytes) -> None:
        """Bytes have come."""
        self._lines.feed(data)
        if not self._busy:
            self._pause()
            self._busy = True
            self._slice()

    def close(self) -> None:
        """The pipe has ended: write what is left of it."""
        while (line := self._lines.next(last=True)) is not None:
            self._write(line)

    def _slice(self) -> None:
        for _ in range(_SLICE_LINES):
            line = self._lines.next()
            if line is None:
                self._busy = False
                self._resume()
                return
            self._write(line)
        asyncio.get_running_loop().call_later(_SLICE_PAUSE_S, self._slice)


def printable(line: str) -> str:
    """Without control characters, which could rewrite the terminal that shows the log."""
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() or one == "\t" else repr(one)[1:-1] for one in line)
