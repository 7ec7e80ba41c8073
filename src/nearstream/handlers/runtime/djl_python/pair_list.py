"""Pairs of a key and a value, in order; a key may come twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Union

Value = Union[bytes, bytearray]


class PairList:
    """The content of an Input or an Output. A key may be None, a value is bytes."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []
        self.values: list[Value] = []

    def add(self, key: str | None = None, value: Value = b"") -> None:
        """Append one pair."""
        self.keys.append(key)
        self.values.append(value)

    def size(self) -> int:
        """How many pairs there are."""
        return len(self.keys)

    def is_empty(self) -> bool:
        """Whether there is none."""
        return not self.keys

    def get(self, key: str | None) -> Value | None:
        """The first value under `key`, or None."""
        return self.values[self.keys.index(key)] if key in self.keys else None

    def key_at(self, index: int) -> str | None:
        """The key of the pair at `index`."""
        return self.keys[index]

    def value_at(self, index: int) -> Value:
        """The value of the pair at `index`."""
        return self.values[index]

    def get_keys(self) -> list[str | None]:
        """Every key."""
        return self.keys

    def get_values(self) -> list[Value]:
        """Every value."""
        return self.values

    def __iter__(self) -> Iterator[tuple[str | None, Value]]:
        return iter(list(zip(self.keys, self.values)))
