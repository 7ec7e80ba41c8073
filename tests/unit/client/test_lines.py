"""LineIterator reads what AWS's examples read, and what makes theirs spin for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from botocore.exceptions import EventStreamError
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.client.streams import cut, cuts

import nearstream
from nearstream.wire.framing.lines import LineDecoder

lines = st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b"")))


def parts(pieces: list[bytes]) -> list[dict[str, dict[str, bytes]]]:
    return [{"PayloadPart": {"Bytes": piece}} for piece in pieces]


@given(lines, st.sampled_from([b"\n", b"\r\n"]), cuts)
def test_lines_come_back_however_the_parts_cut_them(found: list[bytes], end: bytes, at: list[int]) -> None:
    data = b"".join(line + end for line in found)
    assert list(nearstream.LineIterator(parts(cut(data, at)))) == found


@given(st.binary(max_size=60), cuts)
def test_any_bytes_cut_anywhere_give_the_same_lines(data: bytes, at: list[int]) -> None:
    assert list(nearstream.LineIterator(cut(data, at))) == list(nearstream.LineIterator(data))


@given(st.binary(max_size=60), cuts)
def test_with_lone_returns_any_cut_gives_the_same_lines(data: bytes, at: list[int]) -> None:
    def read(pieces: list[bytes]) -> list[bytes]:
        decoder = LineDecoder(lone_returns=True)
        return [line for piece in pieces for line in decoder.feed(piece)] + decoder.flush()

    assert read(cut(data, at)) == read([data])


def test_a_last_line_without_an_end_comes_out_and_the_iterator_ends() -> None:
    found = nearstream.LineIterator(parts([b'{"outputs": [" a"]}\n{"outp', b'uts": [" b"]}']))
    assert list(found) == [b'{"outputs": [" a"]}', b'{"outputs": [" b"]}']
    assert next(found, None) is None


def test_unknown_events_are_skipped() -> None:
    assert list(nearstream.LineIterator([{"Later": {}}, *parts([b"a\n"])])) == [b"a"]


def test_blank_lines_between_events_come_out_as_they_do_in_the_examples() -> None:
    assert list(nearstream.LineIterator(parts([b"data: a\n\n"]))) == [b"data: a", b""]


def test_boto3s_error_comes_out_as_it_is() -> None:
    error = EventStreamError({"Error": {"Code": "ModelStreamError", "Message": "gone"}}, "Invoke")

    def body():
        yield {"PayloadPart": {"Bytes": b"a\n"}}
        raise error

    found = nearstream.LineIterator(body())
    assert next(found) == b"a"
    with pytest.raises(EventStreamError) as caught:
        next(found)
    assert caught.value is error


def test_an_error_as_a_plain_event_raises_stream_failed() -> None:
    with pytest.raises(nearstream.StreamFailed, match="ModelStreamError: gone"):
        list(
            nearstream.LineIterator([{"ModelStreamError": {"Message": "gone", "ErrorCode": "StreamBroken"}}])
        )


def test_a_line_without_end_is_refused() -> None:
    decoder = LineDecoder(max_bytes=10)
    decoder.feed(b"0123456789")
    with pytest.raises(nearstream.Invalid, match="longer than 10 bytes"):
        decoder.feed(b"0")


async def test_the_async_form_reads_the_same() -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in (b"a\nb", b"c\n", b"d"):
            yield piece

    assert [line async for line in nearstream.AsyncLineIterator(body())] == [b"a", b"bc", b"d"]
