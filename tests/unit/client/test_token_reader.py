"""The text of a streamed answer is the same in every format and wherever its bytes are cut."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.client.streams import FORMATS, cut, cuts, stream, texts

from nearstream.client.token_events import Usage
from nearstream.client.token_reader import TokenReader


def read(pieces: Iterable[bytes]) -> TokenReader:
    return read_all(pieces)[1]


def read_all(pieces: Iterable[bytes]) -> tuple[list[str], TokenReader]:
    reader = TokenReader()
    found = [text for piece in pieces for text in reader.feed(piece)]
    return found + reader.finish(), reader


def summary(pieces: Iterable[bytes]) -> tuple[object, ...]:
    found, reader = read_all(pieces)
    failure = reader.failure
    return (
        "".join(found),
        reader.usage,
        reader.finish_reason,
        failure and (failure.code, failure.message, failure.status),
    )


@given(st.sampled_from(FORMATS), texts, cuts)
@example("pieces", ["\\", '"}', "😀"], list(range(200)))
@example("tgi", ["é"], list(range(200)))
def test_the_text_comes_back_from_every_format_wherever_it_is_cut(
    name: str, said: list[str], at: list[int]
) -> None:
    text, usage, reason, failure = summary(cut(stream(name, said), at))
    assert (text, failure) == ("".join(said), None)
    if name == "outputs":
        assert usage == Usage(None, len(said) + 1)
    else:
        assert usage == Usage(3, len(said) + 1)
        assert reason in ("eos_token", "stop")


@example([b'{"generated_text": "', b"data:", b"\\", b"event: error"], [21])
@given(
    st.lists(
        st.sampled_from(
            [b"data:", b"data: ", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u", b"d83d", b":", b",", b"\r",
             b"\n", b"event: error", b"[DONE]", b'{"generated_text": "', b'"token":{"text":"a"}', b"\xc3",
             b"\xa9", b" ", b'{"error":"e","code":4}', b'{"outputs":["b"]}', b'"choices":[{"text":"c"}]',
             b"\xff", b"null"]
        ),
        max_size=20,
    ),
    cuts,
)  # fmt: skip
def test_any_bytes_cut_anywhere_read_the_same(parts: list[bytes], at: list[int]) -> None:
    data = b"".join(parts)
    assert summary(cut(data, at)) == summary([data])


@given(st.binary(max_size=60), cuts)
def test_no_bytes_raise_and_none_are_read_for_ever(data: bytes, at: list[int]) -> None:
    assert summary(cut(data, at)) == summary([data])


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_end_of_the_last_line_loses_nothing(name: str) -> None:
    data = stream(name, ["a", "b"]).rstrip()
    assert summary([data])[0] == "ab"


@pytest.mark.parametrize("name", ["tgi", "openai-chat", "lmi-events"])
def test_a_token_is_handed_out_with_the_bytes_that_complete_its_event(name: str) -> None:
    reader = TokenReader()
    events = stream(name, ["one", "two"]).split(b"\n\n")
    (event,) = [event for event in events if b'"one"' in event]
    assert reader.feed(event + b"\n\n") == ["one"]


@pytest.mark.parametrize(
    ("line", "code", "message", "status"),
    [
        (b'data:{"error":"Broke","error_type":"generation"}\n\n', "generation", "Broke", None),
        (b'data: {"error":{"message":"Broke","type":"server_error","code":500}}\n\n', "500", "Broke", 500),
        (b'data: {"error":{"message":"Broke","http_status_code":422}}\n\n', "error", "Broke", 422),
        (b'data: {"object":"error","message":"Broke","code":400}\n\n', "400", "Broke", 400),
        (b"event: error\ndata: Broke\n\n", "error", "Broke", None),
        (b'data: {"token":{"id":-1,"text":"","error_msg":"Broke"}}\n\n', "error", "Broke", None),
    ],
)
def test_an_error_event_is_a_failure_with_its_words(
    line: bytes, code: str, message: str, status: int | None
) -> None:
    began = b'data: {"token":{"text":"a"}}\n\n'
    text, _, _, failure = summary([began + line + began])
    assert (text, failure) == ("a", (code, message, status))


def test_an_error_line_after_a_document_is_a_failure() -> None:
    text, _, _, failure = summary([b'{"generated_text": "a', b'"}', b'\n{"code": 424, "error": "Broke"}\n'])
    assert (text, failure) == ("a", ("424", "Broke", 424))


def test_a_document_that_does_not_end_is_a_failure() -> None:
    text, _, _, failure = summary([b'{"generated_text": "a\\'])
    assert text == "a"
    assert failure == ("InvalidStream", "the stream ended inside its JSON document", None)


def test_a_stream_in_none_of_the_formats_is_named_as_such() -> None:
    failure = read([b"\x89PNG\r\n"]).failure
    assert failure is not None
    assert "begins with b'\\x89'" in failure.message
    assert "LineIterator" in failure.message


def test_half_an_event_is_a_failure() -> None:
    failure = read([b'data: {"token":{"te\n\n']).failure
    assert failure is not None
    assert failure.message == 'an event is not whole JSON: \'{"token":{"te\''


def test_a_whole_answer_is_read_too() -> None:
    assert summary([b'[{"generated_text":"a b"}]'])[0] == "a b"
    assert summary([b'{"choices":[{"message":{"content":"a b"}}],"usage":{"completion_tokens":2}}'])[:2] == (
        "a b",
        Usage(None, 2),
    )


def test_of_several_choices_the_first_is_read() -> None:
    chunks = b'data: {"choices":[{"index":1,"text":"b"}]}\n\ndata: {"choices":[{"index":0,"text":"a"}]}\n\n'
    assert summary([chunks])[0] == "a"


def test_after_done_the_rest_is_ignored() -> None:
    assert summary([b'data: [DONE]\n\ndata: {"error":"late"}\n\n'])[3] is None


def test_an_empty_stream_is_an_empty_answer() -> None:
    assert summary([]) == ("", Usage(None, None), None, None)
