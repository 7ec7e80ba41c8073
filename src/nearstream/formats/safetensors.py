"""The safetensors container: eight bytes of length, little-endian, a JSON head, the tensors' bytes.

Follows https://github.com/huggingface/safetensors#format. Nothing in such a file is ever run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

LENGTH_BYTES = 8
MOST_HEAD_BYTES = 100_000_000
"""What the format's own reader takes at most."""
_METADATA = "__metadata__"
_ALIGNMENT = 8
_SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
    "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip


class Damaged(ValueError):
    """The bytes are not a whole safetensors file; the text says why."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's kind ("F32"), shape and bytes, row by row, little-endian."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview


class _Entry(msgspec.Struct):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def encode(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """The file's bytes, piece by piece."""
    entries, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + len(tensor.data)
        entries[name] = _Entry(tensor.dtype, tensor.shape, (start, end))
    head = msgspec.json.encode(entries)
    head += b" " * (-len(head) % _ALIGNMENT)
    yield len(head).to_bytes(LENGTH_BYTES, "little")
    yield head
    for tensor in tensors.values():
        yield tensor.data


def decode(file: memoryview) -> dict[str, Tensor]:
    """The tensors of a whole file, without a copy. Raises Damaged."""
    entries, start = _entries(file)
    data = file[start:]
    return {name: _tensor(name, entry, data) for name, entry in entries.items()}


def head_bytes(beginning: bytes) -> int:
    """How long the length and the head are together, from the first LENGTH_BYTES of a file."""
    return LENGTH_BYTES + int.from_bytes(beginning[:LENGTH_BYTES], "little")


def least_bytes(head: bytes) -> int:
    """How long a file with this length and head must be to hold its tensors. Raises Damaged."""
    entries, start = _entries(memoryview(head))
    return start + max((entry.data_offsets[1] for entry in entries.values()), default=0)


def _entries(file: memoryview) -> tuple[dict[str, _Entry], int]:
    """The table of tensors in the head, and where their bytes begin."""
    start = head_bytes(bytes(file[:LENGTH_BYTES]))
    if len(file) < LENGTH_BYTES or start > min(len(file), LENGTH_BYTES + MOST_HEAD_BYTES):
        raise Damaged("it ends within its head")
    try:
        head = msgspec.json.decode(file[LENGTH_BYTES:start], type=dict[str, msgspec.Raw])
        head.pop(_METADATA, None)
        return {name: msgspec.json.decode(entry, type=_Entry) for name, entry in head.items()}, start
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"its head is no table of tensors: {error}") from error


def _tensor(name: str, entry: _Entry, data: memoryview) -> Tensor:
    start, end = entry.data_offsets
    if not 0 <= start <= end <= len(data):
        raise Damaged(f"it is cut short: {name} ends at byte {end} of its data, {len(data)} are there")
    wanted = math.prod(entry.shape) * _SIZES.get(entry.dtype, 0)
    if min(entry.shape, default=0) < 0 or wanted != end - start:
        raise Damaged(
            f"{name} has {end - start} bytes where {entry.dtype} {list(entry.shape)} takes {wanted}"
        )
    return Tensor(entry.dtype, entry.shape, data[start:end])
