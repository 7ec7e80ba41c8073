"""What a handler answers with: a status, headers and content, or a stream made item by item."""

from __future__ import annotations

import datetime
import json
import struct
from typing import Any, Callable, Union

from . import np_util
from .pair_list import PairList, Value

CONTENT_TYPE = "Content-Type"
_JSON = "application/json"
Formatter = Callable[[Any], Union[bytes, bytearray, str]]


class Piece(bytearray):
    """A part of an answer in DJL's own form; `fields` keeps what it says: data, last, and code and error."""

    def __init__(self, encoded: bytes, fields: dict[str, Any]) -> None:
        super().__init__(encoded)
        self.fields = fields


def default_formatter(item: Any) -> bytes:
    """`{"outputs": …}` on a line of its own, as DJL's generators' items are told."""
    try:
        return (json.dumps({"outputs": item}, ensure_ascii=False, default=_plain) + "\n").encode()
    except TypeError as error:
        raise TypeError(
            f"a stream's item is told as JSON, but {error}; give add_stream_content an output_formatter, "
            "or output_formatter=None to stream bytes as they are"
        ) from error


class Output:
    """An answer. Without a stream, the content under "data" is its body, or else the first there is."""

    def __init__(self, code: int = 200, message: str = "OK") -> None:
        self.code = code
        self.message = message
        self.properties: dict[str, Any] = {}
        self.content = PairList()
        self.stream_content: Any = None
        self.stream_output_formatter: Formatter | None = None
        self.media: str | None = None
        """The type of the content added last, for an answer that names none."""
        self._finally: Callable[[], Any] | None = None

    def set_code(self, code: int) -> Output:
        """The HTTP status."""
        self.code = code
        return self

    def set_message(self, message: str) -> Output:
        """The status's phrase."""
        self.message = message
        return self

    def error(self, error: str, code: int = 424, message: str = "invoke handler failure") -> Output:
        """An answer of JSON that tells of a failure."""
        self.set_code(code).set_message(message).add_property(CONTENT_TYPE, _JSON)
        return self.add_as_json({"code": code, "message": message, "error": error})

    def add_property(self, key: str, val: Any) -> Output:
        """A header of the answer."""
        self.properties[key] = val
        return self

    def get_properties(self) -> dict[str, Any]:
        """The headers that were added."""
        return self.properties

    def get_property(self, key: str) -> Any:
        """The header that was added under this name, in any case, or None."""
        wanted = key.lower()
        return next((value for name, value in self.properties.items() if name.lower() == wanted), None)

    def add(self, value: Any, key: str | None = None, batch_index: int | None = None) -> Output:
        """Content: bytes as they are, text as UTF-8, anything else as JSON."""
        if isinstance(value, (bytes, bytearray, memoryview)):
            kept = value if isinstance(value, Piece) else bytes(value)
            return self._keep(kept, key, batch_index, "application/octet-stream")
        if isinstance(value, str):
            return self._keep(value.encode(), key, batch_index, "text/plain; charset=utf-8")
        return self.add_as_json(value, key, batch_index)

    def add_as_json(self, val: Any, key: str | None = None, batch_index: int | None = None) -> Output:
        """Content as JSON, numpy's arrays and dates told plainly. Raises ValueError for NaN."""
        return self._keep(self._encode_json(val), key, batch_index, _JSON)

    def add_as_string(self, value: str, key: str | None = None, batch_index: int | None = None) -> Output:
        """Content as UTF-8 text."""
        return self.add(value, key, batch_index)

    def add_as_numpy(self, np_list: Any, key: str | None = None, batch_index: int | None = None) -> Output:
        """Content as an NDList."""
        return self._keep(np_util.to_nd_list(np_list), key, batch_index, "tensor/ndlist")

    def add_as_npz(self, np_list: Any, key: str | None = None, batch_index: int | None = None) -> Output:
        """Content as an npz file."""
        return self._keep(np_util.to_npz(np_list), key, batch_index, "tensor/npz")

    def add_stream_content(
        self, stream_content: Any, output_formatter: Formatter | None = default_formatter
    ) -> Output:
        """A stream: each item of an iterable, sync or async, is sent as soon as it is made.

        `output_formatter` makes bytes of an item; None: items are bytes, or text, already.
        """
        self.stream_content = stream_content
        self.stream_output_formatter = output_formatter
        self.media = "application/jsonlines" if output_formatter is default_formatter else None
        return self

    def finalize(self, func: Callable[..., Any], *args: Any) -> Output:
        """Call `func(*args)` once the answer is sent."""
        self._finally = lambda: func(*args)
        return self

    def execute_finalize(self) -> Any:
        """Do what `finalize` asked for, once."""
        func, self._finally = self._finally, None
        return func() if func is not None else None

    @staticmethod
    def binary_encode(encoding: dict[str, Any]) -> Piece:
        """A part of an answer: its data, whether it is the last, and for a failure its code and error."""
        parts = [struct.pack(">H", len(encoding))]
        for key, value in encoding.items():
            for text in (str(key).encode(), str(value).encode()):
                parts += [struct.pack(">I", len(text)), text]
        return Piece(b"".join(parts), dict(encoding))

    @staticmethod
    def _encode_json(val: Any) -> bytes:
        text = json.dumps(
            val, ensure_ascii=False, allow_nan=False, indent=2, separators=(",", ":"), default=_plain
        )
        return text.encode()

    def _keep(self, value: Value, key: str | None, batch_index: int | None, media: str) -> Output:
        name = None if key is None else str(key)
        if batch_index is not None:
            name = f"batch_{batch_index}.{name or ''}"
        self.content.add(key=name, value=value)
        self.media = media
        return self

    def __str__(self) -> str:
        sizes = {name: len(value) for name, value in self.content}
        return (
            f"Output({self.code}, {self.message!r}, properties={self.properties}, bytes of content={sizes})"
        )


def _plain(value: Any) -> Any:
    """What JSON has no word for: arrays and their numbers, dates."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (datetime.datetime, datetime.date)):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is not JSON")
