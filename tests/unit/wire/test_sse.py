"""Server-sent events survive any cut, and the whole of the specification's grammar is read."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nearstream.wire.framing import sse

payloads = st.lists(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1).map(str.encode)
)


def read(pieces: list[bytes]) -> list[sse.Event]:
    decoder = sse.Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.flush()


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(at % (len(data) + 1) for at in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(payloads, st.booleans(), st.lists(st.integers(0, 10_000)))
def test_what_is_framed_is_read_again_wherever_it_is_cut(data: list[bytes], space: bool, cuts: list[int]):
    stream = b"".join(sse.frame(item, space=space) for item in data)
    wanted = [item if space else item.removeprefix(b" ") for item in data]
    assert [event.data for event in read(cut(stream, cuts))] == wanted


@given(
    st.lists(st.sampled_from([b"data:a", b"data: b", b":c", b"event: e", b"\n", b"\r", b"\r\n", b"x"])),
    st.data(),
)
def test_any_cut_of_any_lines_reads_the_same(parts: list[bytes], data: st.DataObject):
    stream = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, 200)))
    assert read(cut(stream, cuts)) == read([stream])


@given(payloads.filter(bool))
def test_events_split_where_they_end(data: list[bytes]):
    framed = [sse.frame(item) for item in data]
    assert list(sse.split(b"".join(framed))) == framed


def test_comments_names_and_joined_lines_are_understood():
    stream = b": keep-alive\n\nevent: error\ndata: a\ndata:b\nid: 7\n\ndata\n\n\xef\r\rdata: last"
    assert read([stream]) == [
        sse.Event(b"a\nb", "error"),
        sse.Event(b""),
        sse.Event(b"last"),
    ]
