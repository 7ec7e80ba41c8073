"""Stop strings are cut from the text, and text waits only while a stop string may still begin."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nearstream.core.generation import Token
from nearstream.wire.dialects.completions.stop_trimmer import StopTrimmer


def pushed(texts: list[str], *stops: str) -> tuple[list[str], StopTrimmer]:
    trimmer = StopTrimmer(stops)
    last = len(texts) - 1
    return [trimmer.push(Token(at, text), last=at == last)[0] for at, text in enumerate(texts)], trimmer


def test_text_that_begins_no_stop_string_is_not_held_back():
    found, trimmer = pushed(["a", "b", "c"], "xyz")
    assert (found, trimmer.stopped) == (["a", "b", "c"], False)


def test_a_stop_string_over_several_tokens_never_shows():
    found, trimmer = pushed(["ab", "cEN", "D!", "more"], "END!")
    assert (found, trimmer.stopped) == (["ab", "c", "", ""], True)


def test_what_turns_out_to_be_no_stop_string_follows():
    assert pushed(["aE", "N", "x", "E"], "END")[0] == ["a", "", "ENx", "E"]


def test_of_two_stop_strings_the_one_that_is_complete_first_counts():
    assert pushed(["aXYZ"], "XYZ", "Y")[0] == ["aX"]


def test_special_tokens_have_no_text_and_are_not_listed():
    assert StopTrimmer(()).push(Token(2, "</s>", special=True), last=True) == ("", [])


def test_tokens_are_listed_with_their_text():
    trimmer = StopTrimmer(["END"])
    first, second, third = Token(0, "E"), Token(1, "N"), Token(2, "x")
    assert trimmer.push(first, last=False) == ("", ())
    assert trimmer.push(second, last=False) == ("", ())
    assert trimmer.push(third, last=True) == ("ENx", [first, second, third])


@given(
    text=st.text("abc", max_size=30),
    cuts=st.sets(st.integers(1, 29)),
    stops=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
)
def test_however_the_text_is_cut_the_result_is_the_text_before_the_first_stop(
    text: str, cuts: set[int], stops: list[str]
):
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    parts = [text[start:end] for start, end in pairwise(edges)]
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    found, trimmer = pushed(parts, *stops)
    # Where one token completes several, the engine's own watch ends at the earliest end as well.
    whole = pushed([text], *stops)[0][0]
    assert whole == (text[: min(ends)[1]] if ends else text)
    assert trimmer.stopped is bool(ends)
    assert "".join(found) == whole
