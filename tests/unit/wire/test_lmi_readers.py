"""However a text is cut into tokens and its stream into parts, LMI's clients read the same text.

The readers here do what published clients do; `test_lmi_answers` holds the bytes themselves.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nearstream.core.errors import EngineDied
from nearstream.core.generation import Delta, Finish, Token
from nearstream.core.ports import Encoder, Identity, Payload
from nearstream.wire.dialects.lmi import generate as lmi
from nearstream.wire.dialects.lmi.terms import Format, LmiTerms, lmi_release
from nearstream.wire.framing import sse

IDENTITY = Identity(id="7", model="m", created=1, system_fingerprint="f")
SPECIAL = Token(1, "<s>", -1.0, special=True)
HEAD, END = b'{"generated_text": "', b'"}'

words = st.one_of(
    st.text(max_size=8), st.sampled_from(['"}', '"', "}", "\\", "\n", "", "😀", '{"generated_text": "'])
)
texts = st.lists(words, max_size=12)
cuts = st.lists(st.integers(0, 100_000), max_size=20)


def encoder(version: str, form: Format | None = None, **body: Any) -> Encoder:
    terms = LmiTerms(lmi_release(version), form or Format())
    return lmi.read(json.dumps({"inputs": "hi"} | body).encode(), terms).call().encoder(IDENTITY)


def parts(payload: Payload) -> list[bytes]:
    return [payload] if isinstance(payload, bytes) else list(payload)


def spoken(told: Encoder, tokens: Sequence[str]) -> list[bytes]:
    """The parts of an answer of these tokens, with a special one after each."""
    made = [token for text in tokens for token in (Token(9, text, -0.5), SPECIAL)]
    found = [part for token in made for part in parts(told.feed(Delta((token,))))]
    return found + parts(told.feed(Delta((SPECIAL,), Finish("eos", 1, len(made) + 1))))


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(edge % (len(data) + 1) for edge in at), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """As LineIterator of the blog posts and of SageMaker's SDK, which waits for the last line's end."""
    held = b""
    for piece in pieces:
        held += piece
        while b"\n" in held:
            line, _, held = held.partition(b"\n")
            yield line
    assert not held, "LineIterator would look for this line's end for ever"


def outputs(pieces: Iterable[bytes]) -> str:
    """As the posts' loop and langchain's: every line is an object, a blank one would be an error."""
    return "".join([json.loads(line)["outputs"][0] for line in lines(pieces)])


def skipped(pieces: Iterable[bytes]) -> bytes:
    """As AWS's samples: the part with the document's head is passed over, its end is taken off."""
    return b"".join([piece.removesuffix(END) for piece in pieces if b'{"generated_text":' not in piece])


def stripped(pieces: Iterable[bytes]) -> bytes:
    """As their LineIterator for 0.25, which strips characters: more than the head and the end, if it can."""
    found = b""
    for piece in pieces:
        left = piece.lstrip(HEAD) if piece.startswith(HEAD) else piece
        found += left.rstrip(END) if left.endswith(END) else left
    return found


@given(texts, cuts)
@example(["é", "😀", "\n", '"}'], [1, 2, 3, 24, 25])
def test_lines_of_outputs_cut_anywhere_give_the_text_back(tokens: list[str], at: list[int]):
    whole = b"".join(spoken(encoder("0.23.0", Format("jsonlines")), tokens))
    assert outputs(cut(whole, at)) == "".join(tokens)


@given(texts)
@example(['"}'])
@example(['a"}', '"}"}', "}"])
@pytest.mark.parametrize("reader", [skipped, stripped])
def test_pieces_of_a_document_give_the_text_back_to_those_who_look_at_parts(reader, tokens: list[str]):
    told = spoken(encoder("0.25.0"), tokens)
    assert json.loads(b'"%b"' % reader(told)) == "".join(tokens)
    assert json.loads(b"".join(told)) == {"generated_text": "".join(tokens)}


@given(texts)
def test_no_piece_splits_a_character_or_an_escape_and_none_is_empty(tokens: list[str]):
    head, *pieces, end = spoken(encoder("0.25.0"), tokens)
    assert (head, end) == (HEAD, END)
    for piece in pieces:
        assert piece
        assert isinstance(json.loads(b'"%b"' % piece.decode().encode()), str)


def test_a_token_with_nothing_to_say_sends_no_piece():
    told = encoder("0.25.0")
    told.feed(Delta((Token(9, "a", -0.5),)))
    assert parts(told.feed(Delta((SPECIAL,)))) == []
    assert parts(told.feed(Delta((Token(9, "", -0.5),)))) == []


@given(texts, cuts)
@pytest.mark.parametrize("version", ["0.27.0", "0.36.0"])
def test_lines_of_tokens_cut_anywhere_give_the_text_back_twice(
    version: str, tokens: list[str], at: list[int]
):
    whole = b"".join(spoken(encoder(version, stream=True), tokens))
    found = [json.loads(line) for line in lines(cut(whole, at))]
    assert "".join([line["token"]["text"] for line in found]) == "".join(tokens)
    assert found[-1]["generated_text"] == "".join(tokens)
    assert not any(line.get("generated_text") for line in found[:-1])


@given(texts, cuts)
@pytest.mark.parametrize("version", ["0.27.0", "0.36.0"])
def test_events_of_tokens_cut_anywhere_give_the_text_back(version: str, tokens: list[str], at: list[int]):
    whole = b"".join(spoken(encoder(version, Format("sse"), stream=True), tokens))
    decoder = sse.Decoder()
    found = [json.loads(event.data) for piece in cut(whole, at) for event in decoder.feed(piece)]
    assert "".join([event["token"]["text"] for event in found]) == "".join(tokens)


@given(texts)
def test_chunks_of_a_conversation_give_the_text_back(tokens: list[str]):
    told = encoder("0.27.0", messages=[{"role": "user", "content": "hi"}], stream=True)
    found = [json.loads(line)["choices"][0] for line in lines(spoken(told, tokens))]
    assert "".join([choice["delta"]["content"] for choice in found]) == "".join(tokens)
    assert [choice["finish_reason"] for choice in found[-2:]] == [None, "eos_token"][-len(found) :]


@given(st.text(), st.floats(-1e4, 0) | st.sampled_from([float("-inf"), float("nan"), None]), st.booleans())
@pytest.mark.parametrize("version", ["0.27.0", "0.36.0"])
def test_every_line_is_what_pythons_json_makes_of_it(
    version: str, text: str, logprob: float | None, special: bool
):
    told = encoder(version, stream=True, parameters={"details": True})
    token = Token(9, text, logprob, special)
    for line in lines(
        [*parts(told.feed(Delta((token,)))), *parts(told.feed(Delta((token,), Finish("stop", 1, 2))))]
    ):
        assert json.dumps(json.loads(line), ensure_ascii=False).encode() == line


def test_several_inputs_share_the_lines_of_one_stream():
    told = encoder("0.23.0", Format(streaming="true"), inputs=["a", "b", "c"])
    fed = [
        told.feed(Delta((Token(9, text, -1.0),), None, index))
        for index, text in ((0, "x"), (2, "y"), (1, "z"))
    ]
    found = [json.loads(line)["outputs"] for payload in fed for line in parts(payload)]
    assert found == [["x", "", ""], ["", "", "y"], ["", "z", ""]]


@pytest.mark.parametrize(
    ("version", "form"),
    [("0.23.0", "jsonlines"), ("0.27.0", "jsonlines"), ("0.27.0", "jsonlines_chat"), ("0.36.0", None)],
)
def test_a_reader_of_lines_reaches_the_error_that_ends_a_stream(version: str, form: Any):
    told = encoder(version, Format(form), stream=True)
    sent = [*parts(told.feed(Delta((Token(9, "a", -1.0),)))), *parts(told.fail(EngineDied("out of memory")))]
    *_, last = lines(sent)
    assert "out of memory" in json.dumps(json.loads(last))


def test_a_document_that_breaks_is_closed_before_the_error_is_told():
    told = encoder("0.25.0")
    sent = [*parts(told.feed(Delta((Token(9, "a", -1.0),)))), *parts(told.fail(EngineDied("out of memory")))]
    document, error = lines(sent)
    assert json.loads(document) == {"generated_text": "a"}
    assert json.loads(error) == {"code": 424, "error": "out of memory"}
