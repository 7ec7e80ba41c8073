"""HTTP/1.1 responses, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.core.errors import Invalid
from nearstream.wire.framing import http1
from nearstream.wire.framing.http1 import ResponseReader

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(pieces: list[bytes]) -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def read(data: bytes, cuts: list[int]) -> tuple[ResponseReader, list[bytes]]:
    reader, pieces, places = ResponseReader(), [], sorted({cut % (len(data) + 1) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        pieces += reader.feed(data[start:end])
    return reader, pieces


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8), st.lists(st.integers(0, 5000), max_size=12))
def test_each_chunk_is_one_piece_wherever_the_bytes_are_cut(pieces: list[bytes], cuts: list[int]) -> None:
    reader, found = read(chunked(pieces), cuts)
    assert found == pieces
    assert reader.done and reader.reusable
    assert reader.head is not None and reader.head.headers["content-type"] == "text/event-stream"


@given(st.binary(max_size=300), st.lists(st.integers(0, 5000), max_size=8))
def test_a_body_whose_length_is_told_ends_there(body: bytes, cuts: list[int]) -> None:
    head = b"HTTP/1.1 422 No\r\nContent-Length: %d\r\n\r\n" % len(body)
    reader, found = read(head + body, cuts)
    assert b"".join(found) == body and reader.done
    assert reader.head is not None and reader.head.status == 422


def test_a_large_chunk_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "PIECE_BYTES", 10)
    reader, found = read(chunked([b"x" * 25, b"y" * 3]), list(range(0, 200, 7)))
    assert b"".join(found) == b"x" * 25 + b"y" * 3 and reader.done


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.0 200 OK\r\n\r\nall of it") == [b"all of it"]
    assert not reader.done
    reader.end()
    assert reader.done


def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    reader = ResponseReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert reader.done and not reader.reusable


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        CHUNKED + b"zz\r\nhello\r\n",
        CHUNKED + b"1" * 300,
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_no_response_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        ResponseReader().feed(data)


@pytest.mark.parametrize("end", [10, len(CHUNKED), len(CHUNKED) + 4])
def test_a_response_cut_short_is_told_from_a_whole_one(end: int) -> None:
    reader = ResponseReader()
    reader.feed(chunked([b"hello"])[:end])
    with pytest.raises(Invalid, match="closed inside the response"):
        reader.end()


def test_a_request_says_its_length_and_refuses_a_broken_header() -> None:
    assert http1.request("POST", "/x", {"A": "b"}, b"{}") == (
        b"POST /x HTTP/1.1\r\nHost: replica\r\nContent-Length: 2\r\nA: b\r\n\r\n{}"
    )
    with pytest.raises(Invalid, match="line break"):
        http1.request("POST", "/x", {"A": "b\r\nEvil: 1"}, b"")
