"""HTTP/1.1 responses, cut anywhere."""

from __future__ import annotations

from contextlib import suppress

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


LENGTHS = b"HTTP/1.1 200 OK\r\nContent-Length: "
CODED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: "


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 17,
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 +20 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : blank\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA\xc3\xa9: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        LENGTHS + b"-1\r\n\r\n",
        LENGTHS + b"+1\r\n\r\n",
        LENGTHS + b"1_0\r\n\r\n",
        LENGTHS + b"0x1\r\n\r\n",
        LENGTHS + b"1 0\r\n\r\n",
        LENGTHS + b"\r\n\r\n",
        LENGTHS + "٣".encode() + b"\r\n\r\n",
        LENGTHS + b"9" * 40 + b"\r\n\r\n",
        LENGTHS + b"1\r\nContent-Length: 2\r\n\r\n",
        LENGTHS + b"1, 2\r\n\r\n",
        LENGTHS + b"1\r\nTransfer-Encoding: chunked\r\n\r\n",
        CODED + b"gzip\r\n\r\n",
        CODED + b"gzip, chunked\r\n\r\n",
        CODED + b"chunked, chunked\r\n\r\n",
        CODED + b"xchunked\r\n\r\n",
        CODED + b"chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        CHUNKED + b"zz\r\nhello\r\n",
        CHUNKED + b"-6\r\nhello!\r\n",
        CHUNKED + b"+5\r\nhello\r\n",
        CHUNKED + b"0x5\r\nhello\r\n",
        CHUNKED + b"0_5\r\nhello\r\n",
        CHUNKED + b" 5\r\nhello\r\n",
        CHUNKED + b"5 \r\nhello\r\n",
        CHUNKED + b"\r\nhello\r\n",
        CHUNKED + b"5\nhello\r\n",
        CHUNKED + b"5;a\x00b\r\nhello\r\n",
        CHUNKED + b"5;" + b"x" * 300 + b"\r\nhello\r\n",
        CHUNKED + b"1" * 300,
        CHUNKED + b"1" * 17,
        CHUNKED + b"5\r\nhello0\r\n\r\n",
        CHUNKED + b"5\r\nhello!!",
        CHUNKED + b"5\r\nhello\rx",
        CHUNKED + b"5\r\nhello\n",
        CHUNKED + b"0\r\nno colon\r\n\r\n",
        CHUNKED + b"0\r\n" + b"A: b\r\n" * 10_000,
        CHUNKED + b"0\r\nA: " + b"b" * 20_000,
    ],
)
def test_what_is_no_response_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(Invalid):
        ResponseReader().feed(data)
    if len(data) < 1000:
        with pytest.raises(Invalid):
            read(data, list(range(len(data))))


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=6))
def test_any_bytes_are_read_or_refused_and_nothing_loops(noise: bytes, cuts: list[int]) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED):
        with suppress(Invalid):
            read(start + noise, cuts)


@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=4),
    st.sampled_from([b"", b";a", b";a=b", b' ; a="b c"']),
    st.sampled_from([b"", b"A: b\r\n", b"Server-Timing: x\r\nB:\r\n"]),
    st.lists(st.integers(0, 500), max_size=8),
)
def test_chunk_extensions_and_trailers_are_read_over(
    pieces: list[bytes], extension: bytes, trailers: bytes, cuts: list[int]
) -> None:
    chunks = b"".join(b"%X%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    reader, found = read(CHUNKED + chunks + b"000" + extension + b"\r\n" + trailers + b"\r\n", cuts)
    assert found == pieces and reader.reusable


@pytest.mark.parametrize("status", [101, 204, 304])
@given(cuts=st.lists(st.integers(0, 500), max_size=4))
def test_an_answer_that_has_no_body_ends_with_its_head(status: int, cuts: list[int]) -> None:
    reader, found = read(b"HTTP/1.1 %d X\r\nA: b\r\n\r\n" % status, cuts)
    assert reader.done and reader.reusable and found == []


def test_the_answer_to_head_has_no_body() -> None:
    reader = ResponseReader("HEAD")
    assert reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n") == []
    assert reader.reusable and reader.head is not None and reader.head.headers["Content-Length"] == "500"


@given(st.lists(st.integers(0, 500), max_size=8))
def test_interim_answers_are_read_over(cuts: list[int]) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    reader, found = read(interim + chunked([b"hello"]), cuts)
    assert reader.continued and found == [b"hello"] and reader.reusable


def test_what_follows_a_switch_of_protocols_is_kept_as_it_is() -> None:
    reader = ResponseReader("GET")
    reader.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello")
    assert reader.done and reader.rest == b"\x81\x05hello" and not reader.reusable


@pytest.mark.parametrize("body", [chunked([b"x"]), LENGTHS + b"1\r\n\r\nx"])
def test_a_connection_with_bytes_beyond_its_answer_is_not_used_again(body: bytes) -> None:
    reader = ResponseReader()
    assert reader.feed(body + b"HTTP/1.1 200 OK") == [b"x"]
    assert reader.done and not reader.reusable
    with pytest.raises(Invalid, match="after the end"):
        reader.feed(b"more")


def test_a_length_that_comes_twice_is_one_length() -> None:
    reader = ResponseReader()
    assert reader.feed(LENGTHS + b"1, 1\r\nContent-Length: 1\r\n\r\nx") == [b"x"]
    assert reader.reusable and reader.head is not None and reader.head.headers["Content-Length"] == "1"


def test_an_http_1_0_server_keeps_a_connection_only_where_it_says_so() -> None:
    for said, kept in ((b"", False), (b"Connection: Keep-Alive\r\n", True)):
        reader = ResponseReader()
        reader.feed(b"HTTP/1.0 200 OK\r\n" + said + b"Content-Length: 0\r\n\r\n")
        assert reader.reusable is kept


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


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("POST", "/x", [("A", "b\r\nEvil: 1")]),
        ("POST", "/x", [("A\r\nEvil", "1")]),
        ("POST", "/x", [("A b", "1")]),
        ("POST", "/x", [("A", "\x00")]),
        ("POST", "/x HTTP/1.1\r\nEvil: 1", []),
        ("POST", "/x y", []),
        ("POST", "", []),
        ("PO ST", "/x", []),
    ],
)
def test_a_request_that_would_be_another_on_the_wire_is_refused(
    method: str, target: str, headers: list[tuple[str, str]]
) -> None:
    with pytest.raises(Invalid):
        http1.request_head(method, target, headers)


def test_headers_of_one_connection_are_not_handed_on() -> None:
    given_headers = [
        ("Host", "a"), ("Connection", "close, X-Own, Content-Length"), ("X-Own", "1"), ("TE", "trailers"),
        ("Content-Length", "3"), ("Transfer-Encoding", "chunked"), ("Upgrade", "h2c"), ("X-Amz-Date", "now"),
    ]  # fmt: skip
    assert http1.end_to_end(given_headers) == [("Host", "a"), ("Content-Length", "3"), ("X-Amz-Date", "now")]
