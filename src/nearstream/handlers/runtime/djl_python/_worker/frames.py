"""The messages between the server and a handler's process: length-prefixed frames, a pure codec.

A frame is four bytes of length, one byte that tells its kind, four bytes that tell the call, and its load;
numbers are big-endian. The length counts what follows it. LOAD, CALL, READY, REFUSED, HEAD and FAILED carry
JSON; CALL's is followed by the content's bytes, and CHUNK carries bytes alone. Never a pickle.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

LOAD, CALL, CREDIT, CANCEL = 1, 2, 3, 4
"""From the server. LOAD comes first; CREDIT lets one call send as many chunks more; CANCEL ends a call."""

READY, REFUSED, BEGUN, HEAD, CHUNK, END, FAILED = 16, 17, 18, 19, 20, 21, 22
"""From the process. BEGUN: the user's code has the call. One END or FAILED ends each, also one cancelled."""

_HEAD = struct.Struct(">IBI")
_LENGTH_BYTES = 4
_ABOUT = struct.Struct(">BI")
_COUNT = struct.Struct(">I")


class Frame(NamedTuple):
    """One frame; `call` is 0 where it is about no call."""

    kind: int
    call: int
    load: bytes


class Member(NamedTuple):
    """One of the calls that a CALL frame carries; more than one make a batch."""

    call: int
    content: tuple[tuple[str, bytes], ...]
    properties: dict[str, str]
    function: str = ""
    """Which of the module's functions to call; "" is the handler."""


def encode(kind: int, call: int = 0, load: bytes | bytearray = b"") -> bytes:
    """A frame's bytes."""
    return _HEAD.pack(len(load) + _HEAD.size - _LENGTH_BYTES, kind, call) + load


def decode(body: memoryview) -> Frame:
    """The frame that follows a length."""
    kind, call = _ABOUT.unpack_from(body)
    return Frame(kind, call, bytes(body[_ABOUT.size :]))


def encode_json(kind: int, call: int, document: Any) -> bytes:
    """A frame that carries JSON."""
    return encode(kind, call, json.dumps(document, ensure_ascii=False).encode(errors="surrogatepass"))


def decode_json(load: bytes) -> Any:
    """What a frame that carries JSON says."""
    return json.loads(load.decode(errors="surrogatepass"))


def encode_credit(call: int, chunks: int) -> bytes:
    """The call may send `chunks` more."""
    return encode(CREDIT, call, _COUNT.pack(chunks))


def decode_credit(load: bytes) -> int:
    """How many chunks more."""
    return int(_COUNT.unpack(load)[0])


def encode_call(members: Sequence[Member], *, credit: int) -> bytes:
    """A CALL frame: each of its members may send `credit` chunks to begin with."""
    table = [
        {
            "call": member.call,
            "properties": member.properties,
            "function": member.function,
            "content": [(key, len(value)) for key, value in member.content],
        }
        for member in members
    ]
    described = json.dumps({"credit": credit, "members": table}).encode()
    contents = b"".join(value for member in members for _, value in member.content)
    return encode(CALL, members[0].call, _COUNT.pack(len(described)) + described + contents)


def decode_call(load: bytes) -> tuple[list[Member], int]:
    """The members of a CALL frame and the credit of each."""
    (size,) = _COUNT.unpack_from(load)
    at = _COUNT.size + size
    described = json.loads(load[_COUNT.size : at])
    members = []
    for entry in described["members"]:
        content = []
        for key, length in entry["content"]:
            content.append((key, load[at : at + length]))
            at += length
        members.append(Member(entry["call"], tuple(content), entry["properties"], entry["function"]))
    return members, described["credit"]


class FrameReader:
    """Frames from bytes that may be cut anywhere."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Every frame that `data` completes."""
        buffer = self._buffer
        buffer += data
        frames = []
        at = 0
        while len(buffer) - at >= _HEAD.size:
            (length,) = _COUNT.unpack_from(buffer, at)
            end = at + _LENGTH_BYTES + length
            if len(buffer) < end:
                break
            frames.append(decode(memoryview(buffer)[at + _LENGTH_BYTES : end]))
            at = end
        del buffer[:at]
        return frames
