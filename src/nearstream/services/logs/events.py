"""Lines of a log as events with times, read by the page; and the patterns that choose among them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from nearstream.core.errors import Invalid
from nearstream.core.ports import ReplicaLog, ReplicaLogs

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII)
_LOOKED_AT: Final = 120
"""How far into a line its time is looked for."""

WINDOW_BYTES: Final = 1024 * 1024
"""Read for one page."""


@dataclass(frozen=True, slots=True)
class Event:
    """A line: its text, its time in milliseconds, and the bytes of the log that it is."""

    at_ms: int
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Range:
    """Times that are wanted: from `start_ms`, up to and without `end_ms`."""

    start_ms: int | None = None
    end_ms: int | None = None

    def __contains__(self, at_ms: int) -> bool:
        return (self.start_ms or 0) <= at_ms and (self.end_ms is None or at_ms < self.end_ms)


async def after(source: ReplicaLogs, log: ReplicaLog, start: int) -> list[Event]:
    """Whole lines from the byte `start` on, as many as a window holds; none at the end of the log."""
    data = (await source.read(log, start=start))[:WINDOW_BYTES]
    whole = data[: data.rfind(b"\n") + 1]
    if not whole and len(data) == WINDOW_BYTES:
        whole = data  # a line that is longer than a window is cut
    return _events(whole, start, log)


async def before(source: ReplicaLogs, log: ReplicaLog, end: int) -> list[Event]:
    """Whole lines up to the byte `end`, as many as a window holds."""
    start = max(0, end - WINDOW_BYTES)
    data = (await source.read(log, start=start))[: end - start]
    if start:
        cut = data.find(b"\n") + 1
        start, data = start + cut, data[cut:]
    return _events(data[: data.rfind(b"\n") + 1], start, log)


def _events(data: bytes, start: int, log: ReplicaLog) -> list[Event]:
    """A line without a time has that of the line before it; the first ones that of the next."""
    lines = data.splitlines(keepends=True)
    times = [_time(line) for line in lines]
    at_ms = next((time for time in times if time is not None), int(log.written_at * 1000))
    events = []
    for line, time in zip(lines, times, strict=True):
        at_ms = at_ms if time is None else time
        text = line.decode(errors="replace").rstrip("\r\n")
        events.append(Event(at_ms, text, start, start + len(line)))
        start += len(line)
    return events


def _time(line: bytes) -> int | None:
    found = _TIME.search(line[:_LOOKED_AT].decode("latin-1"))
    if found is None:
        return None
    try:
        read = datetime.fromisoformat(found[0].replace(",", "."))
    except ValueError:
        return None
    return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1000)


class Pattern:
    """A filter pattern of words: all plain ones, any of those after `?`, none of those after `-`.

    Follows "Filter pattern syntax" of CloudWatch Logs, for unstructured events without regular expressions.
    """

    def __init__(self, text: str) -> None:
        """Raises Invalid for patterns of JSON, of columns, and regular expressions."""
        if text.lstrip()[:1] in ("{", "["):
            raise Invalid("Filter patterns of JSON and of columns are not supported: use words.")
        words = list(_words(text))
        if any(word.startswith("%") for word in words):
            raise Invalid("Regular expressions in filter patterns are not supported: use words.")
        self._any = [word[1:] for word in words if word[0] == "?"]
        self._none = [word[1:] for word in words if word[0] == "-"]
        self._all = [word for word in words if word[0] not in "?-"]

    def matches(self, text: str) -> bool:
        return (
            all(word in text for word in self._all)
            and not any(word in text for word in self._none)
            and (not self._any or any(word in text for word in self._any))
        )


def _words(text: str) -> Iterator[str]:
    try:
        yield from (word for word in shlex.split(text) if word)
    except ValueError as error:
        raise Invalid(f"The filter pattern cannot be read: {error}.") from None
