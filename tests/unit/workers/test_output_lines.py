"""Lines of what a program prints, cut anywhere."""

from __future__ import annotations

import itertools
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from nearstream.workers.lines import Lines, printable


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.binary(max_size=30_000), st.lists(st.integers(0, 30_000), max_size=5))
def test_lines_are_the_same_wherever_bytes_are_cut(data: bytes, cuts: list[int]):
    def read(parts: list[bytes]) -> list[str]:
        lines, found = Lines(), []
        for part in parts:
            lines.feed(part)
            while (line := lines.next()) is not None:
                found.append(line)
        while (line := lines.next(last=True)) is not None:
            found.append(line)
        return found

    whole = read([data])
    assert read(pieces(data, cuts)) == whole and all(line.isprintable() or "\t" in line for line in whole)


def test_control_characters_are_written_out():
    assert printable("a\tb") == "a\tb" and printable("\x1b[31m\r") == "\\x1b[31m\\r" and printable("ö") == "ö"


def test_a_progress_bars_returns_end_lines_only_where_that_is_wanted():
    for returns, wanted in ((True, ["10%", "20%", "done"]), (False, ["10%\\r20%", "done"])):
        lines = Lines(returns=returns)
        lines.feed(b"10%\r20%\r\ndone\r\n")
        found = iter(partial(lines.next, last=True), None)
        assert [line for line in found if line] == wanted
