"""HTTP/1.1 as a client reads it (RFC 9112): a head, then the body's pieces as they were flushed.

Each chunk of a chunked body comes out as one piece, which is what lets one event of a model stay one event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from multidict import CIMultiDict

from nearstream.core.errors import Invalid

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_SIZE_LINE_BYTES: Final = 256
PIECE_BYTES: Final = 1024 * 1024
"""A chunk larger than this comes out in pieces."""

_END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Head:
    """A response's status and headers, which answer to any case."""

    status: int
    headers: Mapping[str, str]


def request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request whose body's length is told. Raises Invalid for a header that would break its line."""
    lines = [f"{method} {path} HTTP/1.1", "Host: replica", f"Content-Length: {len(body)}"]
    for name, value in headers.items():
        if "\r" in value or "\n" in value:
            raise Invalid(f"the header {name} has a line break in it")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape") + body


class ResponseReader:
    """Bytes in, cut anywhere; the body's pieces out. `head` and `done` say how far it got.

    Every method raises Invalid when what comes is no HTTP response.
    """

    def __init__(self) -> None:
        self.head: Head | None = None
        self.done = False
        self._held = b""
        self._chunked = False
        self._left: int | None = None
        """Bytes to come of a body whose length was told, or of a large chunk; None: not known."""

    @property
    def reusable(self) -> bool:
        """Whether the connection takes another request now."""
        head = self.head
        closes = head is None or head.headers.get("Connection", "").lower() == "close"
        return self.done and not closes and not self._held

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that are whole now."""
        if self._held:
            data, self._held = self._held + data, b""
        if self.head is None:
            end = data.find(_END_OF_HEAD)
            if end < 0:
                if len(data) > MAX_HEAD_BYTES:
                    raise Invalid("the response's head does not end")
                self._held = data
                return []
            self._begin(data[:end])
            data = data[end + len(_END_OF_HEAD) :]
        return self._chunks(data) if self._chunked else self._plain(data)

    def end(self) -> None:
        """The connection was closed by the other side. Raises Invalid if that was too early."""
        if self.head is not None and not self._chunked and self._left is None:
            self.done = True
        if not self.done:
            raise Invalid("the connection was closed inside the response")

    def _begin(self, head: bytes) -> None:
        first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():  # noqa: PLR2004
            raise Invalid(f"no HTTP response begins with {first[:40]!r}")
        headers = CIMultiDict(
            (name, value.strip()) for name, _, value in (line.partition(":") for line in lines)
        )
        self.head = Head(int(words[1]), headers)
        self._chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        length = headers.get("Content-Length")
        if not self._chunked and length is not None:
            if not length.isdigit():
                raise Invalid(f"a response's length is {length[:20]!r}")
            self._left = int(length)
            self.done = self._left == 0

    def _plain(self, data: bytes) -> list[bytes]:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
            self.done = self._left == 0
        return [data] if data else []

    def _chunks(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        at = 0
        while not self.done:
            taken = self._chunk(data, at) if self._left is None else self._part_of_large(data, at)
            if taken is None:
                break
            piece, at = taken
            if piece:
                pieces.append(piece)
        self._held = data[at:]
        return pieces

    def _chunk(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        """The chunk that begins at `at` and where the next one does; None while it is not whole."""
        start, size = _size_line(data, at)
        if size is None:
            return None
        if size > PIECE_BYTES:
            self._left = size
            return b"", start
        end = start + size
        if len(data) < end + 2:
            return None
        self.done = size == 0
        return data[start:end], end + 2

    def _part_of_large(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        if self._left:
            piece = data[at : at + self._left]
            self._left -= len(piece)
            return (piece, at + len(piece)) if piece else None
        if len(data) < at + 2:
            return None
        self._left = None
        return b"", at + 2


def _size_line(data: bytes, at: int) -> tuple[int, int | None]:
    """Where a chunk's bytes begin and how many they are; None while its size line is not whole."""
    end = data.find(b"\r\n", at)
    if end < 0:
        if len(data) - at > MAX_SIZE_LINE_BYTES:
            raise Invalid("a chunk's size does not end")
        return at, None
    try:
        return end + 2, int(data[at:end].partition(b";")[0], 16)
    except ValueError:
        raise Invalid(f"a chunk's size is {data[at:end][:20]!r}") from None
