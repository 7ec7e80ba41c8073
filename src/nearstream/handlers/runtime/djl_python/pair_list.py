"""Pairs of a key and a value, in order; a key may come twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Optional, Union

Value = Union[bytes, bytearray]
Pair = tuple[Optional[str], Value]


class PairList:
    """The content of an Input or an Output. A key may be None, a value is bytes.

    Made of nothing, or of `keys` and `values`, of `pair_list`, or of `pair_map`.
    """

    def __init__(
        self,
        keys: list[str | None] | None = None,
        values: list[Value] | None = None,
        pair_list: Iterable[Pair] | None = None,
        pair_map: Mapping[str, Value] | None = None,
    ) -> None:
        if len(keys or ()) != len(values or ()):
            raise ValueError(
                f"{len(keys or ())} keys and {len(values or ())} values; as many of each are wanted"
            )
        self.keys: list[str | None] = list(keys or ())
        self.values: list[Value] = list(values or ())
        self.add_all(pair_list)
        self.add_all(pair_map)

    def add(
        self,
        key: str | None = None,
        value: Value | None = None,
        index: int | None = None,
        pair: Pair | None = None,
    ) -> None:
        """Append one pair, or put it at `index`. A value of None adds nothing."""
        if pair is not None:
            key, value = pair
        if value is not None:
            at = len(self.keys) if index is None else index
            self.keys.insert(at, key)
            self.values.insert(at, value)

    def add_all(self, other: PairList | Iterable[Pair] | Mapping[str, Value] | None) -> None:
        """Append every pair of another list, or of a mapping."""
        for pair in list(other.items() if isinstance(other, Mapping) else other or ()):
            self.add(pair=pair)

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

    def __iter__(self) -> Iterator[Pair]:
        return iter(list(zip(self.keys, self.values)))
