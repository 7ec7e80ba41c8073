"""A stop string is found at the same place however the text is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nearstream.text.stops import StopStrings

small_text = st.text(alphabet="ab\n", max_size=12)


def stop_at(pieces: list[str], stops: list[str]) -> int | None:
    watch, read = StopStrings(stops), 0
    for piece in pieces:
        read += len(piece)
        if stop := watch.push(piece):
            return read - stop.overrun
    return None


@given(
    st.lists(small_text, max_size=8), st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=3)
)
def test_any_split_stops_at_the_same_character(pieces: list[str], stops: list[str]):
    whole = "".join(pieces)
    ends = [whole.find(stop) + len(stop) for stop in stops if stop in whole]
    assert stop_at(pieces, stops) == min(ends, default=None)


def test_a_stop_string_that_straddles_three_tokens_is_found():
    watch = StopStrings(["END"])
    assert watch.push("the E") is None
    assert watch.push("N") is None
    stop = watch.push("D of it")
    assert stop is not None
    assert (stop.text, stop.overrun) == ("END", 6)


def test_without_stop_strings_nothing_stops():
    assert StopStrings([]).push("anything") is None
    assert StopStrings([""]).push("anything") is None
