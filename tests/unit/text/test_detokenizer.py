"""Whatever the tokens are, the pieces of text add up, and no character is given out by halves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.toy_tokenizers import CORPUS, FAMILIES

from nearstream.text.tokenizer import SpecialTokens, Tokenizer

TOKENIZERS = {name: Tokenizer(make(), SpecialTokens()) for name, make in FAMILIES.items()}
families = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
texts = st.one_of(
    st.text(),
    st.lists(st.sampled_from([*CORPUS[:3], " ", "  ", "😀", "👩‍👩‍👧", "\ufffd", "é", "\n\n"])).map("".join),
)


def push_all(tokenizer: Tokenizer, ids: list[int], context: list[int] | None = None) -> list[str]:
    stream = tokenizer.detokenizer(context or [])
    pushed = [stream.push(i) for i in ids if tokenizer.special_text(i) is None]
    return [*pushed, stream.flush()]


@families
@given(text=texts)
@settings(max_examples=300, deadline=None)
def test_the_pushed_pieces_add_up_to_the_decoded_whole(tokenizer: Tokenizer, text: str):
    ids = tokenizer.encode(text)
    assert "".join(push_all(tokenizer, ids)) == tokenizer.decode(ids)


@families
@given(text=texts.filter(lambda text: "\ufffd" not in text))
@settings(max_examples=300, deadline=None)
def test_a_character_that_straddles_tokens_is_never_given_out_broken(tokenizer: Tokenizer, text: str):
    assert not any("\ufffd" in piece for piece in push_all(tokenizer, tokenizer.encode(text)))


@families
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_ids_at_all_are_taken(tokenizer: Tokenizer, data: st.DataObject):
    ids = data.draw(st.lists(st.integers(0, 600)))
    push_all(tokenizer, ids)


@given(ids=st.lists(st.integers(0, 600)))
@settings(max_examples=500, deadline=None)
def test_byte_level_pieces_of_any_ids_add_up(ids: list[int]):
    tokenizer = TOKENIZERS["byte level"]
    assert "".join(push_all(tokenizer, ids)) == tokenizer.decode(ids)


def test_an_answer_that_continues_a_prompt_keeps_its_first_space():
    tokenizer = TOKENIZERS["llama"]
    prompt, answer = tokenizer.encode("hello"), tokenizer.encode("world")
    assert "".join(push_all(tokenizer, answer, prompt)) == " world"
    assert "".join(push_all(tokenizer, answer)) == "world"


def test_an_emoji_of_four_byte_tokens_comes_with_its_last_one():
    tokenizer = TOKENIZERS["llama"]
    *_, a, b, c, d = tokenizer.encode("🦀")
    assert push_all(tokenizer, [a, b, c, d]) == ["", "", "", "🦀", ""]


def test_an_unfinished_character_is_flushed_as_one_replacement():
    tokenizer = TOKENIZERS["byte level"]
    ids = tokenizer.encode("a🦀", add_special_tokens=False)[:-1]
    assert "".join(push_all(tokenizer, ids)) == "a\ufffd"


@families
@pytest.mark.parametrize("text", ["a😀", "日本", "hello 😀é"])
def test_a_text_cut_anywhere_has_one_replacement_for_the_character_that_is_cut(
    tokenizer: Tokenizer, text: str
):
    ids = tokenizer.encode(text, add_special_tokens=False)
    for count in range(1, len(ids) + 1):
        *pushed, flushed = push_all(tokenizer, ids[:count])
        assert "\ufffd" not in "".join(pushed) and flushed in {"", "\ufffd"}
    assert flushed == ""
