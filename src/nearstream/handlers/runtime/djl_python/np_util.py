"""Arrays as bytes: DJL's NDList, version 3, and numpy's npz.

An NDList is a count, then for each array: the texts "NDAR", version, an optional name, "default", the type,
the shape with a layout of one character for each dimension, the byte order, and the data. Numbers are
big-endian; a text is two bytes of length and UTF-8.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

from . import optional
from .pair_list import Value

_MAGIC = "NDAR"
_VERSION = 3
_ZIP = b"PK"


def to_nd_list(arrays: Any) -> bytes:
    """One array, or a list of them, as an NDList."""
    np = optional.numpy()
    many = list(arrays) if isinstance(arrays, (list, tuple)) else [arrays]
    parts = [struct.pack(">i", len(many))]
    for array in map(np.asarray, many):
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        data = little.tobytes()
        parts += [
            _text(_MAGIC), struct.pack(">iB", _VERSION, 0), _text("default"), _text(array.dtype.name.upper()),
            struct.pack(f">i{array.ndim}q", array.ndim, *array.shape),
            struct.pack(f">i{array.ndim}H", array.ndim, *([ord("?")] * array.ndim)),
            struct.pack(">B", ord("<")), struct.pack(">i", len(data)), data,
        ]  # fmt: skip
    return b"".join(parts)


def from_nd_list(encoded: Value) -> list[Any]:
    """The arrays of an NDList, or of an npz. Raises ValueError for anything else."""
    if encoded[:2] == _ZIP:
        return from_npz(encoded)
    reader = _Reader(bytes(encoded))
    try:
        (count,) = reader.unpack(">i")
        return [reader.array() for _ in range(count)]
    except (struct.error, TypeError) as error:
        raise ValueError(f"this is no NDList: it breaks off or is malformed ({error})") from error


def to_npz(arrays: Any) -> bytes:
    """One array, or a list of them, as an npz file."""
    np = optional.numpy()
    file = io.BytesIO()
    np.savez(file, *(arrays if isinstance(arrays, (list, tuple)) else [arrays]))
    return file.getvalue()


def from_npz(encoded: Value) -> list[Any]:
    """The arrays of an npz file, without pickles."""
    np = optional.numpy()
    with np.load(io.BytesIO(encoded), allow_pickle=False) as file:
        return [file[name] for name in file.files]


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


class _Reader:
    """Reads an NDList from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def unpack(self, form: str) -> tuple[Any, ...]:
        """Numbers in the form of `struct`."""
        found = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return found

    def array(self) -> Any:
        """One array. Raises ValueError where the bytes are not one."""
        magic, (version,) = self._text(), self.unpack(">i")
        if (magic, version) != (_MAGIC, _VERSION):
            raise ValueError(
                f"an NDList has {_MAGIC} {_VERSION} before each array; this has {magic} {version}"
            )
        if self.unpack(">B")[0]:
            self._text()
        self._text()
        kind = self._text().lower().replace("boolean", "bool")
        shape = self._shape()
        order, size = self.unpack(">Bi")
        return self._values(kind, chr(order), size).reshape(shape)

    def _values(self, kind: str, order: str, size: int) -> Any:
        np = optional.numpy()
        data = self._data[self._at : self._at + size]
        self._at += size
        return np.frombuffer(data, dtype=np.dtype(kind).newbyteorder(order))

    def _shape(self) -> Sequence[int]:
        (dimensions,) = self.unpack(">i")
        shape = self.unpack(f">{dimensions}q")
        (layout,) = self.unpack(">i")
        self.unpack(f">{layout}H")
        return shape

    def _text(self) -> str:
        (length,) = self.unpack(">H")
        value = self._data[self._at : self._at + length]
        self._at += length
        return value.decode(errors="replace")
