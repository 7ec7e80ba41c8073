"""What a handler's Output says to each call of a batch: a head, a body, or the items of a stream."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..inputs import BATCH_SIZE, Input
from ..outputs import CONTENT_TYPE, Output, Piece
from ..pair_list import Value
from .frames import Member

NO_CONTENT = 204
OUT_OF_MEMORY = 507
FAILED_DEPENDENCY = 424
_FAILED = 300
_BATCHED = re.compile(r"batch_(\d+)[._](.*)", re.DOTALL)
_OUT_OF_MEMORY_NAMES = ("MemoryError", "OutOfMemoryError")


class Head(NamedTuple):
    """An answer's status, phrase and headers."""

    code: int
    message: str
    properties: dict[str, str]


class Part(NamedTuple):
    """A part of an answer, or what failed of it. `last`: its handler has no more for it."""

    data: bytes
    last: bool
    error: str | None = None
    code: int = FAILED_DEPENDENCY

    def failure(self) -> Output:
        """An answer that tells of the failure."""
        return Output().error(self.error or "", self.code)


class Whole(NamedTuple):
    """An answer that is there at once."""

    head: Head
    body: bytes


def input_of(members: Sequence[Member], function: str, common: dict[str, Any]) -> Input:
    """The Input of one call, or of a batch; `common` are properties that every call has."""
    inputs = Input()
    inputs.function_name = function
    inputs.properties.update(common)
    if not members:
        return inputs
    if len(members) == 1:
        inputs.properties.update(members[0].properties)
        for key, value in members[0].content:
            inputs.content.add(key=key, value=value)
        return inputs
    inputs.properties[BATCH_SIZE] = str(len(members))
    for index, member in enumerate(members):
        prefix = f"batch_{index:03d}."
        inputs.properties.update({prefix + key: value for key, value in member.properties.items()})
        for key, value in member.content:
            inputs.content.add(key=prefix + key, value=value)
    return inputs


def failure_of(error: BaseException) -> Output:
    """The answer to a call whose handler raised, in DJL's words."""
    if type(error).__name__ in _OUT_OF_MEMORY_NAMES:
        return Output(OUT_OF_MEMORY, str(error) or "out of memory")
    return Output().error(str(error) or type(error).__name__)


def checked(result: Any) -> Output:
    """What a handler returned, as an Output."""
    if result is None:
        return Output(NO_CONTENT, "No content")
    if isinstance(result, Output):
        return result
    return Output().error(f"Invalid output type: {type(result)}")


def head_of(output: Output, index: int | None = None) -> Head:
    """The head of one call's answer; `index` is its place in a batch."""
    properties = {}
    for key, value in output.properties.items():
        batched = _BATCHED.fullmatch(key)
        if batched is None:
            properties[_one_line(key)] = _one_line(value)
        elif int(batched[1]) == (index or 0):
            properties[_one_line(batched[2])] = _one_line(value)
    if output.media is not None and not any(name.lower() == "content-type" for name in properties):
        properties[CONTENT_TYPE] = output.media
    return Head(int(output.code), _one_line(output.message), properties)


def _one_line(value: Any) -> str:
    """A text that a header or a status line can hold."""
    return " ".join(str(value).split())


def wholes(output: Output, size: int) -> list[Whole]:
    """The answer to each of `size` calls. A failure, and an answer with nothing in it, are everyone's."""
    if size == 1:
        return [Whole(head_of(output), _body(_own(output, 0)))]
    if output.code >= _FAILED or (output.content.is_empty() and output.code == NO_CONTENT):
        return [Whole(head_of(output, index), _body(list(output.content))) for index in range(size)]
    told: list[list[tuple[str | None, Value]]] = [[] for _ in range(size)]
    for key, value in output.content:
        batched = _BATCHED.fullmatch(key or "")
        if batched is None or int(batched[1]) >= size:
            return wholes(Output().error(f"Unexpected batch output key: {key}"), size)
        told[int(batched[1])].append((batched[2], value))
    answered = sum(map(bool, told))
    if answered != size:
        message = f"Batch output size mismatch, expected: {size}, actual: {answered}"
        return wholes(Output().error(message), size)
    return [Whole(head_of(output, index), _body(told[index])) for index in range(size)]


def chunks_of(output: Output, item: Any, size: int) -> list[bytes]:
    """The bytes of a stream's item for each of `size` calls.

    A batch's item is a list of one part for each call; the formatter is given each as a list of one.
    """
    formatter = output.stream_output_formatter
    if size == 1:
        return [as_bytes(item if formatter is None else formatter(item))]
    if not isinstance(item, (list, tuple)) or len(item) != size:
        raise TypeError(f"a stream for a batch of {size} calls gives lists of {size}, not {item!r:.100}")
    return [as_bytes(part if formatter is None else formatter([part])) for part in item]


def as_bytes(value: Any) -> bytes:
    """Bytes of bytes or text. Raises TypeError for anything else."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"a stream sends bytes or text, not {type(value).__name__}")


def failed(output: Output) -> bool:
    """Whether its status says so."""
    return int(output.code) >= _FAILED


def error_of(output: Output) -> str:
    """What a failed Output says is wrong."""
    body = wholes(unpacked(output), 1)[0].body.decode(errors="replace")
    try:
        return str(json.loads(body)["error"])
    except (ValueError, TypeError, LookupError):
        return body or output.message


def part_of(output: Output) -> Part:
    """What an Output that is a part of an answer adds to it."""
    content = _own(output, 0)
    first = content[0][1] if content else b""
    return _part(first) if isinstance(first, Piece) else Part(_body(content), last=False)


def parts_of(output: Output, size: int) -> list[Part]:
    """What one step of a handler that makes batches itself adds to each of `size` answers.

    By the places that its keys name, or else in order; content that is in no form of parts is a whole
    answer. Raises ValueError where it is not one for each: nobody may get another's.
    """
    if failed(output):
        return []
    if output.stream_content is not None:
        raise ValueError("option.rolling_batch is set, and the handler gives a stream: parts are wanted")
    places = [_BATCHED.fullmatch(key or "") for key in output.content.get_keys()]
    found = [int(place[1]) if place else at for at, place in enumerate(places)]
    if sorted(found) != list(range(size)):
        raise ValueError(
            f"option.rolling_batch is set, and the handler answers {output.content.size()} of {size} "
            "requests: a part made by Output.binary_encode is wanted for each"
        )
    values = dict(zip(found, output.content.get_values()))
    return [_part(values[place]) for place in range(size)]


def unpacked(output: Output) -> Output:
    """An Output in DJL's own form as a plain one."""
    first = output.content.value_at(0) if not output.content.is_empty() else b""
    if not isinstance(first, Piece):
        return output
    part = _part(first)
    if part.error is not None:
        return part.failure()
    plain = Output(int(first.fields.get("code") or output.code), output.message)
    plain.properties = output.properties
    return plain.add(first.fields.get("data", b""))


def _part(value: Value) -> Part:
    """A value in DJL's form of parts; any other is all of an answer."""
    if not isinstance(value, Piece):
        return Part(bytes(value), last=True)
    fields, code = value.fields, int(value.fields.get("code") or 0)
    last = str(fields.get("last", "")).lower() == "true"
    if fields.get("error"):
        return Part(b"", last, str(fields["error"]), code or FAILED_DEPENDENCY)
    return Part(as_bytes(fields.get("data", b"")), last)


def _own(output: Output, index: int) -> list[tuple[str | None, Value]]:
    """The content with the prefix of the only call of a batch taken away."""
    found = []
    for key, value in output.content:
        batched = _BATCHED.fullmatch(key or "")
        found.append((batched[2] if batched and int(batched[1]) == index else key, value))
    return found


def _body(content: Sequence[tuple[str | None, Value]]) -> bytes:
    """As DJL's server chooses: what is under "data", or else the first."""
    named = [value for key, value in content if key == "data"]
    return bytes((named or [value for _, value in content] or [b""])[0])
