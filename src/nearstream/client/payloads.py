"""The bytes of a streamed answer's body, as boto3, an HTTP library or a test hands it over."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from nearstream.core.errors import StreamFailed

Part = bytes | bytearray | memoryview | Mapping[str, Any]
"""Bytes, or one event of SageMaker's stream as boto3 gives it: `{"PayloadPart": {"Bytes": b"..."}}`."""
Body = bytes | Iterable[Part]
"""Everything that can be read: `response["Body"]` of boto3, any iterable of bytes, or bytes."""
_FAILURES = ("ModelStreamError", "InternalStreamFailure")


def payloads(body: Body) -> Iterator[bytes]:
    """The bytes of each part. What the body raises comes out as it is; see `payload`."""
    for part in (body,) if isinstance(body, bytes) else body:
        if data := payload(part):
            yield data


async def async_payloads(body: AsyncIterable[Part]) -> AsyncIterator[bytes]:
    """As `payloads`."""
    async for part in body:
        if data := payload(part):
            yield data


def payload(part: Part) -> bytes:
    """The bytes of one part; b"" of an unknown event. Raises StreamFailed for an event that is an error."""
    if not isinstance(part, Mapping):
        return bytes(part)
    for kind in _FAILURES:
        if kind in part:
            raise StreamFailed(kind, str(part[kind].get("Message", "")))
    data: bytes = part.get("PayloadPart", {}).get("Bytes", b"")
    return data
