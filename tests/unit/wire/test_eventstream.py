"""The event stream's frames, judged by botocore's own reader."""

import struct

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from nearstream.core.errors import Invalid
from nearstream.wire.framing import eventstream
from nearstream.wire.framing.eventstream import Decoder


def read_with_botocore(data: bytes):
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


@given(st.lists(st.binary(max_size=400), max_size=5))
def test_botocore_reads_every_part_back(payloads):
    messages = read_with_botocore(b"".join(map(eventstream.payload_part, payloads)))
    assert [message.payload for message in messages] == payloads
    for message in messages:
        assert message.headers == {
            ":event-type": "PayloadPart",
            ":content-type": "application/octet-stream",
            ":message-type": "event",
        }


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.data())
def test_the_decoder_gives_the_same_messages_wherever_the_bytes_are_cut(payloads, data):
    stream = b"".join(map(eventstream.payload_part, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    decoder = Decoder()
    messages = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        messages += decoder.feed(stream[start:end])
    decoder.flush()
    assert [message.payload for message in messages] == payloads


def test_a_payload_over_24_mib_is_split_into_frames_that_botocore_takes():
    payload = bytes(eventstream.MAX_PAYLOAD_BYTES) + b"the rest"
    messages = read_with_botocore(eventstream.payload_part(payload))
    assert [len(message.payload) for message in messages] == [eventstream.MAX_PAYLOAD_BYTES, 8]


def test_an_exception_frame_carries_its_kind_message_and_code():
    frame = eventstream.exception("ModelStreamError", "the model died", "StreamBroken")
    (message,) = read_with_botocore(frame)
    assert message.headers[":exception-type"] == "ModelStreamError"
    assert message.headers[":message-type"] == "exception"
    assert message.payload == b'{"Message": "the model died", "ErrorCode": "StreamBroken"}'
    assert message.to_response_dict()["status_code"] == 400
    (ours,) = Decoder().feed(frame)
    assert ours.is_exception


def test_a_header_that_comes_twice_is_refused():
    twice = struct.pack("!B4sBi", 4, b"test", 4, 1) * 2
    with pytest.raises(Invalid, match="the header 'test' twice"):
        Decoder().feed(eventstream._frame(twice, b""))


def test_an_internal_failure_has_no_error_code():
    (message,) = read_with_botocore(eventstream.exception("InternalStreamFailure", "ours"))
    assert message.payload == b'{"Message": "ours"}'


@given(st.binary(min_size=1, max_size=60), st.data())
def test_one_flipped_bit_is_always_noticed(payload, data):
    frame = bytearray(eventstream.payload_part(payload))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Invalid):
        Decoder().feed(bytes(frame))


def test_a_stream_that_ends_inside_a_frame_is_not_whole():
    decoder = Decoder()
    assert decoder.feed(eventstream.payload_part(b"hello")[:-1]) == []
    with pytest.raises(Invalid, match="into a frame"):
        decoder.flush()


def test_headers_of_every_type_are_skipped_over():
    raw = b"\x01a\x00\x01b\x02\xff\x01c\x06\x00\x02hi\x01d\x07\x00\x02yo\x01e\x09" + bytes(16)
    (message,) = Decoder().feed(eventstream._frame(raw, b"x"))
    assert message.headers == {"d": "yo"}


@pytest.mark.parametrize(
    "raw", [b"\x05ab", b"\x01a\x07\x00\x09no", b"\x01a\x63", b"\x01a\x07\x00", b"\x01\xff\x00"]
)
def test_headers_that_make_no_sense_are_refused(raw):
    with pytest.raises(Invalid):
        Decoder().feed(eventstream._frame(raw, b""))
