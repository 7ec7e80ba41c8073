"""The head of a GGUF file: its metadata and where its tensors lie.

Follows https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass

Value = int | float | bool | str | list["Value"]

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SCALARS = dict(enumerate("BbHhIif?", start=0)) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32


class Damaged(ValueError):
    """The bytes are no whole head of a GGUF file; the text says why."""


@dataclass(frozen=True, slots=True)
class Gguf:
    """`metadata` as written; the file must be longer than `least_bytes` to hold its last tensor."""

    metadata: Mapping[str, Value]
    least_bytes: int

    def integer(self, key: str) -> int | None:
        """The number at `key` of the file's own architecture, such as "block_count"."""
        value = self.metadata.get(f"{self.metadata.get('general.architecture')}.{key}")
        return value if isinstance(value, int) else None


def parse(file: bytes | mmap.mmap) -> Gguf:
    """Parse the head of a whole file. Raises Damaged where it is not GGUF or is cut short."""
    try:
        return _Reader(file).file()
    except (struct.error, IndexError, KeyError, RecursionError) as error:
        raise Damaged("its head cannot be read to the end") from error


class _Reader:
    """A cursor over the file's bytes."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def file(self) -> Gguf:
        if self._data[:4] != _MAGIC:
            raise Damaged(f"it begins with {self._data[:4]!r}, not {_MAGIC!r}")
        self._at = 4
        version = self._scalar("I")
        if version not in _VERSIONS:
            raise Damaged(f"its version is {version}, versions {_VERSIONS} are read")
        tensors, pairs = int(self._scalar("Q")), int(self._scalar("Q"))
        metadata = dict(self._pair() for _ in range(pairs))
        last = max((self._tensor_offset() for _ in range(tensors)), default=0)
        given = metadata.get("general.alignment", _ALIGNMENT)
        alignment = given if isinstance(given, int) and given > 0 else _ALIGNMENT
        start = -(-self._at // alignment) * alignment
        return Gguf(metadata, start + last)

    def _pair(self) -> tuple[str, Value]:
        return self._string(), self._value(int(self._scalar("I")))

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            item, count = int(self._scalar("I")), int(self._scalar("Q"))
            if item in _SCALARS:
                return list(self._unpack(f"<{count}{_SCALARS[item]}"))
            return [self._value(item) for _ in range(count)]
        return self._scalar(_SCALARS[kind])

    def _tensor_offset(self) -> int:
        self._string()
        dimensions = int(self._scalar("I"))
        self._unpack(f"<{dimensions}Q")
        self._scalar("I")
        return int(self._scalar("Q"))

    def _string(self) -> str:
        length = int(self._scalar("Q"))
        start, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise IndexError(length)
        return self._data[start : self._at].decode(errors="replace")

    def _scalar(self, code: str) -> int | float | bool:
        value: int | float | bool = self._unpack(f"<{code}")[0]
        return value

    def _unpack(self, code: str) -> tuple[int | float | bool, ...]:
        values = struct.unpack_from(code, self._data, self._at)
        self._at += struct.calcsize(code)
        return values
