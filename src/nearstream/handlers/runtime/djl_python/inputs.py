"""What a handler is given: one call, a batch of them, or the empty Input that asks it to load."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from . import np_util, optional
from .pair_list import PairList, Value

BATCH_SIZE = "batch_size"
_PREFIX = "batch_"
_INDEX = slice(6, 9)
_REST = slice(10, None)


class Input:
    """A call's content, by keys (the body's is "data"), and its properties, the request's headers.

    In a batch both have the prefix `batch_000.` and so on; `get_batches` takes them apart.
    """

    def __init__(self) -> None:
        self.function_name: str | None = None
        self.properties: dict[str, Any] = {}
        self.content = PairList()

    def is_batch(self) -> bool:
        """Whether it holds several calls."""
        return BATCH_SIZE in self.properties

    def get_batch_size(self) -> int:
        """How many calls it holds."""
        return int(self.properties.get(BATCH_SIZE, 1))

    def get_batches(self) -> list[Input]:
        """One Input for each call, in order."""
        if not self.is_batch():
            return [self]
        batches = [Input() for _ in range(self.get_batch_size())]
        for key, value in self.properties.items():
            if key.startswith(_PREFIX) and key != BATCH_SIZE:
                batches[int(key[_INDEX])].properties[key[_REST]] = value
        for name, content in self.content:
            batches[int((name or "")[_INDEX])].content.add(key=(name or "")[_REST], value=content)
        for batch in batches:
            batch.function_name = self.function_name
        return batches

    def get_function_name(self) -> str | None:
        """The name of the function that is called with this."""
        return self.function_name

    def get_properties(self) -> dict[str, Any]:
        """Every property, under its name as it came."""
        return self.properties

    def get_property(self, key: str) -> Any:
        """The property of this name in any case, or None."""
        wanted = key.lower()
        return next((value for name, value in self.properties.items() if name.lower() == wanted), None)

    def get_content(self) -> PairList:
        """All the content."""
        return self.content

    def contains_key(self, key: str) -> bool:
        """Whether there is content under `key`."""
        return self.content.get(key) is not None

    def is_empty(self) -> bool:
        """Whether there is no content: the call that asks a handler to load its model."""
        return self.content.is_empty()

    def get_data(self, key: str | None = None) -> Any:
        """The content as its Content-Type says: JSON, text, an image, arrays, or else bytes."""
        media = str(self.get_property("content-type") or "").lower()
        readers = {
            "tensor/ndlist": self.get_as_numpy,
            "tensor/npz": self.get_as_npz,
            "application/json": self.get_as_json,
            "text/": self.get_as_string,
            "image/": self.get_as_image,
        }
        read = next((read for start, read in readers.items() if media.startswith(start)), self.get_as_bytes)
        return None if self.is_empty() else read(key)

    def get_as_bytes(self, key: str | None = None) -> Value | None:
        """The content under `key`; without one the body, or else the first there is. Raises KeyError.

        None where there is no content at all, as in the first call.
        """
        if self.is_empty():
            return None
        found = self.content.get(key or "data")
        if found is None and key:
            there = ", ".join(repr(name) for name in self.content.get_keys())
            raise KeyError(f"there is no content under {key!r}; there is {there}")
        return self.content.value_at(0) if found is None else found

    def get_as_string(self, key: str | None = None) -> str:
        """The content as UTF-8 text. Raises KeyError where there is none, as all that follow do."""
        return self._content(key).decode()

    def get_as_json(self, key: str | None = None) -> Any:
        """The content as JSON."""
        return json.loads(self.get_as_string(key))

    def get_as_image(self, key: str | None = None) -> Any:
        """The content as a Pillow image. Raises ImportError where the environment has no Pillow."""
        return optional.image().open(io.BytesIO(self._content(key)))

    def get_as_numpy(self, key: str | None = None) -> list[Any]:
        """The content, an NDList or an npz, as a list of numpy arrays."""
        return np_util.from_nd_list(self._content(key))

    def get_as_npz(self, key: str | None = None) -> list[Any]:
        """The content, an npz, as a list of numpy arrays."""
        return np_util.from_npz(self._content(key))

    def get_as_csv(self, key: str | None = None) -> list[dict[str, str]]:
        """The content as rows of a CSV table with a header."""
        return list(csv.DictReader(io.StringIO(self.get_as_string(key))))

    def __str__(self) -> str:
        lines = [f"properties: {self.properties}"]
        lines += [f"{name}: {self.get_data(name)}" for name in self.content.get_keys()]
        return "\n".join(lines)

    def _content(self, key: str | None) -> Value:
        found = self.get_as_bytes(key)
        if found is None:
            raise KeyError(f"there is no content under {key or 'data'!r}; there is nothing")
        return found
