"""HTTP/1.1 as a client writes and reads it (RFC 9110, RFC 9112), as strict as its grammar.

A response is a head, then the body's pieces as they were flushed: each chunk of a chunked body comes out as
one piece, which is what lets one event of a model stay one event. Whatever the grammar does not take is
refused at once, because what two readers take apart differently can be used to smuggle a second message in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from multidict import CIMultiDict

from nearstream.core.errors import Invalid

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_TRAILER_BYTES: Final = 16 * 1024
MAX_SIZE_LINE_BYTES: Final = 256
MAX_INTERIM_RESPONSES: Final = 16
PIECE_BYTES: Final = 1024 * 1024
"""A chunk larger than this comes out in pieces."""

CONTINUE: Final = 100
SWITCHING_PROTOCOLS: Final = 101
LAST_CHUNK: Final = b"0\r\n\r\n"

_FINAL: Final = 200
_WITHOUT_BODY: Final = frozenset({SWITCHING_PROTOCOLS, 204, 304})
_LINE_END: Final = b"\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_VERSION: Final = b"HTTP/1."
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)")
_LENGTH: Final = re.compile("[0-9]{1,18}")
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_PLAIN_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_SIZE_LINE_BEGUN: Final = re.compile(rb"[0-9A-Fa-f]{1,16}(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*|[ \t]*)\r?")
_METHOD: Final = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET: Final = re.compile(r"[^\x00-\x20\x7f]+")
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_NEVER_DROPPED: Final = frozenset({"host", "content-length"})


@dataclass(frozen=True, slots=True)
class Head:
    """A response's status and headers, which are found by names in any case."""

    status: int
    headers: CIMultiDict[str]
    keeps_alive: bool
    """Whether the server leaves the connection open after this response."""


def request_head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of a request. Raises Invalid for what would be something else on the wire."""
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
        raise Invalid(f"{method[:20]!r} {target[:80]!r} is no method and target of a request")
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in headers:
        if not _METHOD.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Invalid(f"the header {name[:80]!r} has a line break or another control character in it")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape")


def request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request with its whole body. Raises Invalid as `request_head` does."""
    length = ("Content-Length", str(len(body)))
    return request_head(method, path, [("Host", "replica"), length, *headers.items()]) + body


def chunk(piece: bytes) -> bytes:
    """One chunk of a chunked body; `piece` is not empty."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def end_to_end(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers that an intermediary hands on: not those of one connection, nor those it names as such."""
    pairs = list(headers)
    named = {
        one.strip().lower()
        for name, value in pairs
        if name.lower() == "connection"
        for one in value.split(",")
    }
    dropped = _HOP | (named - _NEVER_DROPPED)
    return [(name, value) for name, value in pairs if name.lower() not in dropped]


class ResponseReader:
    """Bytes in, cut anywhere; the body's pieces out. `head` and `done` say how far it got.

    Interim responses (1xx) are read over; `continued` says that one of them was 100. Every method raises
    Invalid when what comes is no HTTP response.
    """

    def __init__(self, method: str = "POST") -> None:
        """`method` is the request's: the answer to HEAD has no body."""
        self.head: Head | None = None
        self.done = False
        self.continued = False
        self.rest = b""
        """What came after the response: after 101, the first bytes of the other protocol."""
        self._method = method
        self._held = b""
        self._interim = 0
        self._chunked = False
        self._in_trailers = False
        self._trailer_bytes = 0
        self._left: int | None = None
        """Bytes to come of a body whose length was told, or of a large chunk; None: not known."""

    @property
    def reusable(self) -> bool:
        """Whether the connection takes another request now."""
        return self.done and self.head is not None and self.head.keeps_alive and not self.rest

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that are whole now."""
        if self.done:
            if data:
                raise Invalid("bytes came after the end of the response")
            return []
        if self._held:
            data, self._held = self._held + data, b""
        if self.head is None:
            after = self._heads(data)
            if after is None:
                return []
            data = after
        if not self._chunked:
            return self._plain(data)
        one = self._one_chunk(data)
        return self._chunks(data) if one is None else [one]

    def end(self) -> None:
        """The connection was closed by the other side. Raises Invalid if that was too early."""
        if self.head is not None and not self._chunked and self._left is None:
            self.done = True
        if not self.done:
            raise Invalid("the connection was closed inside the response")

    def _heads(self, data: bytes) -> bytes | None:
        """Read up to the final response's head; what comes after it, None while it is not whole."""
        while self.head is None:
            end = data.find(_HEAD_END, 0, MAX_HEAD_BYTES)
            if end < 0:
                if len(data) >= MAX_HEAD_BYTES:
                    raise Invalid("the response's head does not end")
                if not _VERSION.startswith(data[: len(_VERSION)]):
                    raise Invalid(f"no HTTP response begins with {data[:40]!r}")
                self._held = data
                return None
            head, data = data[:end], data[end + len(_HEAD_END) :]
            self._begin(head)
        return data

    def _begin(self, head: bytes) -> None:
        first, *lines = head.split(_LINE_END)
        matched = _STATUS_LINE.fullmatch(first)
        if matched is None:
            raise Invalid(f"no HTTP response begins with {first[:40]!r}")
        status, is_1_0 = int(matched[2]), matched[1] == b"0"
        headers = CIMultiDict(map(_field, lines))
        if status < _FINAL and status != SWITCHING_PROTOCOLS:
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                raise Invalid("the response's head does not come, only interim ones")
            self.continued = self.continued or status == CONTINUE
            return
        chunked, length = _framing(headers, is_1_0=is_1_0)
        self.done = self._method == "HEAD" or status in _WITHOUT_BODY or length == 0
        self._chunked = chunked and not self.done
        if length is not None:
            headers["Content-Length"] = str(length)  # it may have come twice
        self._left = length
        self.head = Head(status, headers, _keeps_alive(headers, is_1_0=is_1_0))

    def _plain(self, data: bytes) -> list[bytes]:
        if self.done:  # there is no body
            self.rest = data
            return []
        if self._left is not None:
            data, self.rest = data[: self._left], data[self._left :]
            self._left -= len(data)
            self.done = self._left == 0
        return [data] if data else []

    def _one_chunk(self, data: bytes) -> bytes | None:
        """The piece where `data` is one whole chunk, as it nearly always is: one token of a model."""
        line = _PLAIN_SIZE_LINE.match(data) if self._left is None and not self._in_trailers else None
        if line is None:
            return None
        start, end = line.end(), len(data) - len(_LINE_END)
        whole = 0 < end - start <= PIECE_BYTES and end - start == int(line[1], 16)
        return data[start:end] if whole and data.endswith(_LINE_END) else None

    def _chunks(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        at = 0
        while not self.done:
            if self._in_trailers:
                taken = self._trailer(data, at)
            else:
                taken = self._chunk(data, at) if self._left is None else self._part_of_large(data, at)
            if taken is None:
                break
            piece, at = taken
            if piece:
                pieces.append(piece)
        if self.done:
            self.rest = data[at:]
        else:
            self._held = data[at:]
        return pieces

    def _chunk(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        """The chunk that begins at `at` and where the next one does; None while it is not whole."""
        line = _SIZE_LINE.match(data, at, at + MAX_SIZE_LINE_BYTES)
        if line is None:
            _check_size_line(data[at : at + MAX_SIZE_LINE_BYTES])
            return None
        start, size = line.end(), int(line[1], 16)
        if size == 0:
            self._in_trailers = True
            return b"", start
        if size > PIECE_BYTES:
            self._left = size
            return b"", start
        end = start + size
        if not data.startswith(_LINE_END, end):
            _check_line_end(data[end : end + 2])
            return None
        return data[start:end], end + 2

    def _part_of_large(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        if self._left:
            piece = data[at : at + self._left]
            self._left -= len(piece)
            return (piece, at + len(piece)) if piece else None
        if not data.startswith(_LINE_END, at):
            _check_line_end(data[at : at + 2])
            return None
        self._left = None
        return b"", at + 2

    def _trailer(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        """One line after the last chunk, which is read and dropped; the empty one ends the body."""
        end = data.find(_LINE_END, at)
        if (end if end >= 0 else len(data)) - at + self._trailer_bytes > MAX_TRAILER_BYTES:
            raise Invalid("the response's trailers do not end")
        if end < 0:
            return None
        if end == at:
            self.done = True
        else:
            _field(data[at:end])
            self._trailer_bytes += end - at
        return b"", end + 2


def _field(line: bytes) -> tuple[str, str]:
    matched = _FIELD.fullmatch(line)
    if matched is None:
        raise Invalid(f"a header of the response is {line[:40]!r}")
    return matched[1].decode("ascii"), matched[2].strip(b" \t").decode("utf-8", "surrogateescape")


def _framing(headers: CIMultiDict[str], *, is_1_0: bool) -> tuple[bool, int | None]:
    """Whether the body is chunked, and its length where that is told."""
    codings = headers.getall("Transfer-Encoding", [])
    lengths = {one.strip(" \t") for value in headers.getall("Content-Length", []) for one in value.split(",")}
    if codings and (is_1_0 or lengths or [one.lower() for one in codings] != ["chunked"]):
        raise Invalid(f"a response has the Transfer-Encoding {', '.join(codings)[:40]!r}, which is not taken")
    if len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
        raise Invalid(f"a response's Content-Length is {', '.join(sorted(lengths))[:40]!r}")
    return bool(codings), int(lengths.pop()) if lengths else None


def _keeps_alive(headers: CIMultiDict[str], *, is_1_0: bool) -> bool:
    said = {
        one.strip(" \t").lower() for value in headers.getall("Connection", []) for one in value.split(",")
    }
    return "keep-alive" in said if is_1_0 else "close" not in said


def _check_size_line(begun: bytes) -> None:
    """Raises Invalid unless a size line may begin so."""
    if len(begun) == MAX_SIZE_LINE_BYTES or (begun and not _SIZE_LINE_BEGUN.fullmatch(begun)):
        raise Invalid(f"a chunk's size is {begun[:20]!r}")


def _check_line_end(begun: bytes) -> None:
    """Raises Invalid unless a line may end so."""
    if begun not in (b"", b"\r"):
        raise Invalid(f"a chunk is followed by {begun!r}")
