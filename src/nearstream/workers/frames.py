"""Frames between a process and its worker: four bytes of length, big-endian, and a body; a pure codec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

LENGTH_BYTES = 4

Frame = TypeVar("Frame")


def framed(body: bytes) -> bytes:
    """The bytes of one frame. `body` is shorter than 4 GiB."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class FrameReader(Generic[Frame]):
    """Turns bytes, cut anywhere, back into what `decode` makes of each body.

    `decode` must not keep the memory it is given.
    """

    def __init__(self, decode: Callable[[memoryview], Frame]) -> None:
        self._decode = decode
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= LENGTH_BYTES:
            body = start + LENGTH_BYTES
            end = body + int.from_bytes(buffer[start:body], "big")
            if len(buffer) < end:
                break
            frames.append(self._decode(memoryview(buffer)[body:end]))
            start = end
        del buffer[:start]
        return frames
