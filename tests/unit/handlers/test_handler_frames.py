"""Frames between the server and a handler's process, cut anywhere."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nearstream.handlers.runtime.djl_python._worker import frames
from nearstream.workers.frames import FrameReader, framed

MEMBERS = st.lists(
    st.builds(
        frames.Member,
        st.integers(1, 2**32 - 1),
        st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=50)), max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    ),
    min_size=1,
    max_size=3,
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(MEMBERS, st.lists(st.integers(0, 10_000), max_size=10))
def test_frames_are_read_whole_wherever_bytes_are_cut(members: list[frames.Member], cuts: list[int]):
    data = frames.encode_call(members, credit=3) + frames.encode_credit(9, 2) + frames.encode(frames.END, 4)
    reader = frames.FrameReader()
    call, credit, end = (frame for piece in pieces(data, cuts) for frame in reader.feed(piece))
    assert frames.decode_call(call.load) == (members, 3)
    assert (credit.call, frames.decode_credit(credit.load)) == (9, 2) and end == (frames.END, 4, b"")


@given(st.text(), st.integers(0, 2**32 - 1))
def test_json_of_any_text_makes_the_round_trip(text: str, call: int):
    (frame,) = frames.FrameReader().feed(frames.encode_json(frames.FAILED, call, {"error": text}))
    assert frame.call == call and frames.decode_json(frame.load) == {"error": text}


@given(MEMBERS, st.lists(st.integers(0, 10_000), max_size=10))
def test_the_server_reads_frames_as_the_process_does(members: list[frames.Member], cuts: list[int]):
    data = frames.encode_call(members, credit=3) + frames.encode_json(frames.FAILED, 7, {"error": "é"})
    ours, theirs = FrameReader(frames.decode), frames.FrameReader()
    parts = pieces(data, cuts)
    assert [one for part in parts for one in ours.feed(part)] == [
        one for part in parts for one in theirs.feed(part)
    ]
    assert framed(frames.encode(frames.CHUNK, 7, b"abc")[4:]) == frames.encode(frames.CHUNK, 7, b"abc")
