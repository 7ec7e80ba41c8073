"""The example that streams an image."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path

from tests.contract.handlers.models import Models, call

from nearstream.handlers.workers import HandlerWorkers

EXAMPLE = Path(__file__).parents[3] / "examples" / "progressive_image"


def chunks_of(png: bytes) -> list[tuple[bytes, bytes]]:
    """The parts of a PNG file, their checksums checked."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    found, at = [], 8
    while at < len(png):
        (size,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", png, at + 8 + size) == (zlib.crc32(kind + data),)
        found.append((kind, data))
        at += size + 12
    return found


async def test_it_streams_a_whole_png_in_bands(models: Models):
    settings = replace(models.settings(""), directory=EXAMPLE)
    async with HandlerWorkers.open(settings) as workers:
        answer = await call(workers, {"width": 24, "height": 20})
        refused = await call(workers, {"width": 0})
    assert answer.head.properties == {"Content-Type": "image/png"} and len(answer.chunks) == 1 + 3 + 1
    head, *bands, end = chunks_of(answer.body)
    assert head[0] == b"IHDR" and struct.unpack(">II", head[1][:8]) == (24, 20) and end == (b"IEND", b"")
    pixels = zlib.decompress(b"".join(data for _, data in bands))
    assert len(pixels) == 20 * (1 + 24 * 3) and len(set(pixels)) > 10
    assert refused.head.code == 400 and "1 to 2048" in refused.json()["error"]
