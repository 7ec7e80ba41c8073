from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.engines.openvino.frames import (
    Advance,
    Cancel,
    Failure,
    Load,
    Loaded,
    Options,
    Stepped,
    Submit,
    Unloadable,
    decode_from_worker,
    decode_to_worker,
    encode,
)
from nearstream.workers.frames import FrameReader

TO_WORKER = (
    Load("/model", 64, 512, 8, True, None, {"PERFORMANCE_HINT": "LATENCY"}),
    Submit(1, b"\x05" + bytes(7), Options(3, (2,), do_sample=True, seed=2**63 - 1, grammar='root ::= "a"')),
    Cancel(1),
)
FROM_WORKER = (
    Loaded(1.5, 0.1, 4096, True),
    Unloadable("no such file"),
    Stepped([Advance(1, (5, 6), (-0.5, -0.25), None), Advance(2, (), (), "cancelled")]),
    Stepped([], [Failure(3, "invalid", "no")]),
)


@given(st.lists(st.integers(1, 40)))
def test_frames_cut_anywhere_read_the_same(cuts):
    for frames, decode in ((TO_WORKER, decode_to_worker), (FROM_WORKER, decode_from_worker)):
        reader = FrameReader(decode)
        data = b"".join(encode(frame) for frame in frames)
        read = []
        for cut in cuts:
            read += reader.feed(data[:cut])
            data = data[cut:]
        read += reader.feed(data)
        assert tuple(read) == frames


def test_a_frame_of_the_other_direction_is_an_error():
    with pytest.raises(msgspec.ValidationError):
        FrameReader(decode_to_worker).feed(encode(FROM_WORKER[0]))
