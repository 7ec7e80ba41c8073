"""A handler that draws an image and streams it as a PNG, band by band, with the standard library alone."""

import struct
import zlib
from collections.abc import Iterator

from djl_python import Input, Output

BAND_ROWS = 8
STEPS = 48
LARGEST = 2048
ESCAPED = 2


def handle(inputs: Input) -> Output | None:
    if inputs.is_empty():  # the call that loads a model; there is nothing to load here
        return None
    wish = inputs.get_as_json()
    width, height = int(wish.get("width", 320)), int(wish.get("height", 240))
    if not (0 < width <= LARGEST and 0 < height <= LARGEST):
        return Output().error(f"width and height are 1 to {LARGEST}, not {width} and {height}", 400)
    output = Output().add_property("Content-Type", "image/png")
    return output.add_stream_content(png(width, height), output_formatter=None)


def png(width: int, height: int) -> Iterator[bytes]:
    """The file's head, then a part for each band of rows: a viewer shows each as soon as it has it."""
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packer = zlib.compressobj()
    for top in range(0, height, BAND_ROWS):
        rows = range(top, min(top + BAND_ROWS, height))
        pixels = b"".join(b"\0" + row(y, width, height) for y in rows)
        yield chunk(b"IDAT", packer.compress(pixels) + packer.flush(zlib.Z_SYNC_FLUSH))
    yield chunk(b"IDAT", packer.flush()) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG file: its length, what it is, its data, a checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def row(y: int, width: int, height: int) -> bytes:
    """One row of the Mandelbrot set, three bytes a pixel."""
    return b"".join(colour(complex(3.5 * x / width - 2.5, 2.4 * y / height - 1.2)) for x in range(width))


def colour(point: complex) -> bytes:
    """By how many steps it takes a point to escape; black for one that never does."""
    z = 0j
    for step in range(STEPS):
        z = z * z + point
        if abs(z) > ESCAPED:
            return bytes((step * 5, step * 3 % 256, 80 + step * 3))
    return b"\0\0\0"
