"""Turns JSON into an operation's input and its output into JSON, by their shapes."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from botocore.model import Shape

from nearstream.core.errors import Invalid
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.service import Value

_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_REAL: Final = re.compile(r"-?(?:[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,3})?|Infinity)|NaN")
_NUMBERS: Final = {"integer": _WHOLE, "long": _WHOLE, "float": _REAL, "double": _REAL}


def decode(body: bytes) -> Value:
    """A body of JSON. Raises AwsError SerializationException, for one nested without end too."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AwsError("SerializationException", f"The body is not valid JSON: {error}") from None


def to_json(shape: Shape, value: Value) -> Value:
    """`value` as JSON holds it: epoch numbers, base64; what the shape does not know and None are left out."""
    kind = shape.type_name
    if kind == "structure":
        return {
            member.serialization.get("name", name): to_json(member, value[name])
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if kind == "list":
        return [to_json(shape.member, item) for item in value]
    if kind == "map":
        return {key: to_json(shape.value, item) for key, item in value.items()}
    if kind == "timestamp":
        return timestamp(shape, value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def timestamp(shape: Shape, value: float, default: str = "unixTimestamp") -> float | str:
    """`value`, seconds since the epoch, in the format that `shape` asks for."""
    form = shape.serialization.get("timestampFormat", default)
    if form == "unixTimestamp":
        return round(value, 3)
    moment = datetime.fromtimestamp(value, UTC)
    if form == "rfc822":
        return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def from_json(shape: Shape, value: Value) -> Value:
    """JSON of the right types as services take it: timestamps as seconds since the epoch, blobs as bytes.

    Members that the shape does not know, and null members, are left out.
    """
    if value is None:
        return None
    kind = shape.type_name
    if kind == "structure":
        named = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        return {
            name: from_json(shape.members[name], value[key])
            for key, name in named.items()
            if value.get(key) is not None
        }
    if kind == "list":
        return [from_json(shape.member, item) for item in value]
    if kind == "map":
        return {key: from_json(shape.value, item) for key, item in value.items()}
    return _SCALARS[kind](value) if kind in _SCALARS else value


def from_text(shape: Shape, text: str) -> Value:
    """A value from a header, a path, a query or XML. Raises AwsError SerializationException, and Invalid."""
    kind = shape.type_name
    if kind in _NUMBERS:
        if not _NUMBERS[kind].fullmatch(text):
            raise AwsError(
                "SerializationException", f"STRING_VALUE cannot be converted to {kind.capitalize()}"
            )
        return int(text) if kind in ("integer", "long") else float(text)
    if kind == "boolean":
        return text.lower() == "true"
    if kind == "blob":
        return _blob(text)
    return parse_timestamp(text) if kind == "timestamp" else text


def to_text(shape: Shape, value: Value, *, timestamps: str) -> str:
    """A value for a header or XML; `timestamps` is the format of those whose shape does not say it."""
    if shape.type_name == "timestamp":
        return str(timestamp(shape, value, timestamps))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_timestamp(value: float | str) -> float:
    """Seconds since the epoch from a number, ISO 8601 or an HTTP date. Raises Invalid."""
    if not isinstance(value, str):
        return float(value)
    readers: tuple[Callable[[str], float], ...] = (float, _iso, _http_date)
    for read in readers:
        try:
            return read(value)
        except ValueError:
            continue
    raise Invalid(f"'{value[:64]}' is not a timestamp")


def _iso(value: str) -> float:
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _http_date(value: str) -> float:
    return datetime.strptime(value, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).timestamp()


def _blob(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise Invalid("a blob must be base64") from None


_SCALARS: Final[Mapping[str, Callable[[Value], Value]]] = {
    "timestamp": parse_timestamp,
    "blob": _blob,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
}
