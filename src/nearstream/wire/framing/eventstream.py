"""Frames of the AWS event stream, `application/vnd.amazon.eventstream`, as SageMaker streams answers in it.

A frame is: total length u32, header length u32, CRC-32 of those eight bytes, headers, payload, CRC-32 of all
before it. A header is: name length u8, name, type u8 (7: a string), value length u16, value. Numbers are
big-endian. Payloads are opaque: nothing here knows what a model says.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from zlib import crc32

from nearstream.core.errors import Invalid

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
MAX_PAYLOAD_BYTES: Final = 24 * 1024 * 1024
"""What clients accept in one frame."""

ExceptionKind = Literal["ModelStreamError", "InternalStreamFailure"]
ErrorCode = Literal["ModelInvocationTimeExceeded", "StreamBroken"]

_PRELUDE: Final = struct.Struct("!II")
_CRC: Final = struct.Struct("!I")
_PRELUDE_BYTES: Final = 12
_OVERHEAD_BYTES: Final = 16
_MAX_HEADERS_BYTES: Final = 128 * 1024
_STRING: Final = 7
_VALUE_BYTES: Final = {2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Header types of a fixed width; 0 and 1 are bare booleans, 6 is bytes with a length like 7."""


def _headers(pairs: Mapping[str, str]) -> bytes:
    parts = []
    for name, value in pairs.items():
        raw_name, raw_value = name.encode(), value.encode()
        parts.append(struct.pack("!B", len(raw_name)) + raw_name)
        parts.append(struct.pack("!BH", _STRING, len(raw_value)) + raw_value)
    return b"".join(parts)


def _frame(headers: bytes, payload: bytes) -> bytes:
    lengths = _PRELUDE.pack(_OVERHEAD_BYTES + len(headers) + len(payload), len(headers))
    lengths_crc = crc32(lengths)
    head = lengths + _CRC.pack(lengths_crc) + headers
    return b"".join((head, payload, _CRC.pack(crc32(payload, crc32(head)))))


_PART_HEADERS: Final = _headers(
    {
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }
)


def payload_part(payload: bytes) -> bytes:
    """`payload` as one PayloadPart frame, or as several when it is more than one frame may hold."""
    if len(payload) <= MAX_PAYLOAD_BYTES:
        return _frame(_PART_HEADERS, payload)
    cuts = range(0, len(payload), MAX_PAYLOAD_BYTES)
    return b"".join(_frame(_PART_HEADERS, payload[cut : cut + MAX_PAYLOAD_BYTES]) for cut in cuts)


def exception(kind: ExceptionKind, message: str, error_code: ErrorCode | None = None) -> bytes:
    """The last frame of a stream that breaks; boto3 raises it as EventStreamError.

    `error_code` belongs to ModelStreamError alone.
    """
    document = {"Message": message} if error_code is None else {"Message": message, "ErrorCode": error_code}
    headers = {
        ":exception-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return _frame(_headers(headers), json.dumps(document, ensure_ascii=False).encode())


@dataclass(frozen=True, slots=True)
class Message:
    """One decoded frame; headers of other types than string are left out."""

    headers: Mapping[str, str]
    payload: bytes

    @property
    def is_exception(self) -> bool:
        return self.headers.get(":message-type") in ("exception", "error")


class Decoder:
    """Bytes in, cut anywhere; whole messages out. Raises Invalid on a frame that is not sound."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        self._buffer += data
        messages = []
        while (size := self._next_size()) is not None and len(self._buffer) >= size:
            messages.append(_decode(bytes(self._buffer[:size])))
            del self._buffer[:size]
        return messages

    def flush(self) -> None:
        """Say that the stream has ended; Invalid if that was inside a frame."""
        if self._buffer:
            raise Invalid(f"the event stream ended {len(self._buffer)} bytes into a frame")

    def _next_size(self) -> int | None:
        if len(self._buffer) < _PRELUDE_BYTES:
            return None
        total, headers = _PRELUDE.unpack_from(self._buffer)
        if crc32(self._buffer[:8]) != _CRC.unpack_from(self._buffer, 8)[0]:
            raise Invalid("the event stream's prelude has a wrong checksum")
        if headers > _MAX_HEADERS_BYTES or not 0 <= total - headers - _OVERHEAD_BYTES <= MAX_PAYLOAD_BYTES:
            raise Invalid(f"an event stream frame of {total} bytes with {headers} of headers is not legal")
        return int(total)


def _decode(frame: bytes) -> Message:
    _, headers_bytes = _PRELUDE.unpack_from(frame)
    if crc32(frame[:-4]) != _CRC.unpack_from(frame, len(frame) - 4)[0]:
        raise Invalid("the event stream's frame has a wrong checksum")
    payload_at = _PRELUDE_BYTES + headers_bytes
    return Message(_decode_headers(frame[_PRELUDE_BYTES:payload_at]), frame[payload_at:-4])


def _decode_headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    names = set[str]()
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind = data[at + 1 : name_end].decode(), data[name_end]
            at, value = _decode_value(data, name_end + 1, kind)
            if name in names:
                raise Invalid(f"the event stream has the header {name[:40]!r} twice in one frame")
            names.add(name)
            if value is not None:
                headers[name] = value
    except (IndexError, UnicodeDecodeError, struct.error):
        raise Invalid("the event stream's headers cannot be read") from None
    if at != len(data):
        raise Invalid("the event stream's headers end inside a value")
    return headers


def _decode_value(data: bytes, at: int, kind: int) -> tuple[int, str | None]:
    if kind in (0, 1):
        return at, None
    if kind in _VALUE_BYTES:
        return at + _VALUE_BYTES[kind], None
    if kind not in (6, _STRING):
        raise Invalid(f"the event stream has a header of unknown type {kind}")
    (length,) = struct.unpack_from("!H", data, at)
    end = at + 2 + length
    return end, data[at + 2 : end].decode() if kind == _STRING else None
