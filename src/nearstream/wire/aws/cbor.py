"""Errors of the smithy-rpc-v2-cbor protocol, whose services are not served (RFC 8949: maps of text)."""

from __future__ import annotations

import struct
from typing import Final

from nearstream.wire.aws.errors import AwsError, ErrorContext
from nearstream.wire.aws.response import AwsResponse

_TEXT: Final = 0x60
_MAP: Final = 0xA0
_INLINE: Final = 24


def failure(error: AwsError, context: ErrorContext) -> AwsResponse:
    """`error` on the wire."""
    words = {"__type": error.code, "message": error.message}
    body = bytes([_MAP + len(words)]) + b"".join(_text(name) + _text(text) for name, text in words.items())
    headers = {
        "Content-Type": "application/cbor",
        "smithy-protocol": "rpc-v2-cbor",
        "x-amzn-RequestId": context.request_id,
    }
    return AwsResponse(error.status, headers, body)


def _text(text: str) -> bytes:
    raw = text.encode()
    if len(raw) < _INLINE:
        return bytes([_TEXT + len(raw)]) + raw
    return struct.pack("!BI", _TEXT + 26, len(raw)) + raw
