"""The grammar of serving.properties is that of java.util.Properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearstream.formats.properties import Damaged, Entry, parse


def pairs(text: str | bytes) -> list[tuple[str, str]]:
    content = text if isinstance(text, bytes) else text.encode()
    return [(entry.key, entry.value) for entry in parse(content, "serving.properties")]


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("engine=MPI", "engine", "MPI"),
        ("engine = MPI", "engine", "MPI"),
        ("  engine:MPI", "engine", "MPI"),
        ("engine MPI", "engine", "MPI"),
        ("engine\t:\tMPI", "engine", "MPI"),
        ("engine  =  = MPI", "engine", "= MPI"),
        ("option.env=A=b,C=d", "option.env", "A=b,C=d"),
        ("engine=MPI ", "engine", "MPI "),
        ("engine", "engine", ""),
        ("engine=", "engine", ""),
        ("=MPI", "", "MPI"),
        (r"a\=b\:c\ d=e", "a=b:c d", "e"),
        (r"path=C:\\models\tx", "path", "C:\\models\tx"),
        (r"a=\n\r\f\z", "a", "\n\r\fz"),
        (r"a=\u0041\u00e9", "a", "Aé"),
        (r"a=\ud83d\ude00", "a", "😀"),
        (r"a=\ud83d", "a", "\ufffd"),
        ("a=価\u2028値", "a", "価\u2028値"),
        ("a=b # not a comment", "a", "b # not a comment"),
    ],
)
def test_a_line_is_a_key_and_a_value(line: str, key: str, value: str) -> None:
    assert pairs(line) == [(key, value)]


def test_comments_and_blank_lines_say_nothing() -> None:
    assert pairs("# one\n  ! two\n\n \t\f\n#a=b\\\nc=d\n") == [("c", "d")]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_every_platforms_line_ends_and_continuations_are_read(end: str) -> None:
    text = end.join(["a=1,\\", "   2,\\", "# 3", "", "b=x\\\\", "c=y\\"])
    entries = parse(text.encode(), "f")
    assert [(entry.key, entry.value, entry.line) for entry in entries] == [
        ("a", "1,2,# 3", 1),
        ("b", "x\\", 5),
        ("c", "y", 6),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert pairs(b"\xef\xbb\xbfengine=MPI\r\n") == [("engine", "MPI")]


def test_a_file_that_is_not_utf_8_is_read_as_java_reads_it() -> None:
    assert pairs("a=é".encode("latin-1")) == [("a", "é")]


def test_every_entry_is_kept_with_its_line_also_one_given_twice() -> None:
    assert [(entry.value, entry.line) for entry in parse(b"\na=1\n\na=2\n", "f")] == [("1", 2), ("2", 4)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a=b\nc=C:\\users\n", r"^f, line 2: \\u was given"),
        ("a=b".encode("utf-16"), "^f is UTF-16; save it as UTF-8"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(content: bytes, said: str) -> None:
    with pytest.raises(Damaged, match=said):
        parse(content, "f")


def written(text: str, *, key: bool = False) -> str:
    """As java.util.Properties.store writes a key or a value."""
    marks = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\f": r"\f"}
    marks |= {mark: f"\\{mark}" for mark in "=:#!"}
    out = [marks.get(letter, letter) for letter in text]
    blanks = range(len(out)) if key else range(len(text) - len(text.lstrip(" ")))
    for at in blanks:
        out[at] = r"\ " if out[at] == " " else out[at]
    return "".join(out)


WORDS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \t\f\r\n\\=:#!u0"))


@given(st.lists(st.tuples(WORDS, WORDS)))
def test_what_java_writes_is_read_again(given_pairs: list[tuple[str, str]]) -> None:
    text = "".join(f"{written(key, key=True)}={written(value)}\n" for key, value in given_pairs)
    assert pairs(text) == given_pairs


@given(st.binary())
def test_any_bytes_are_entries_or_refused(content: bytes) -> None:
    try:
        entries = parse(content, "f")
    except Damaged:
        return
    assert all(isinstance(entry, Entry) for entry in entries)
