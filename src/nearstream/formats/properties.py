"""Java's properties files, as java.util.Properties.load reads them, each entry with its line.

Where Java takes every byte for a character, UTF-8 is read where the file is UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLANK = " \t\f"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LINE_END = re.compile(r"\r\n|\r|\n")
_SEPARATOR = re.compile(r"[ \t\f]*[=:]?[ \t\f]*")
_KEY = re.compile(r"(?:\\.|[^\\=: \t\f])*", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.|$)", re.DOTALL)
_NAMED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


class Damaged(ValueError):
    """The bytes are no properties file; the text says why, and in which line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`line` counts from 1: where the entry begins."""

    key: str
    value: str
    line: int


def parse(content: bytes, name: str) -> tuple[Entry, ...]:
    """The entries, in order, of a file called `name`. Raises Damaged with its line for a malformed one."""
    if content.startswith(_UTF16):
        raise Damaged(f"{name} is UTF-16; save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return tuple(_entry(line, number, name) for number, line in _logical_lines(text))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments and blank ones, continuations joined, each with the number it begins at."""
    lines = iter(enumerate(_LINE_END.split(text), 1))
    for number, line in lines:
        parts = [line.lstrip(_BLANK)]
        if not parts[0] or parts[0][0] in "#!":
            continue
        while _continues(parts[-1]):
            parts[-1] = parts[-1][:-1]
            parts.append(next(lines, (0, ""))[1].lstrip(_BLANK))
        if logical := "".join(parts):
            yield number, logical


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _entry(line: str, number: int, name: str) -> Entry:
    key = _KEY.match(line)
    end = key.end() if key else 0
    separator = _SEPARATOR.match(line, end)
    start = separator.end() if separator else end
    try:
        return Entry(_unescaped(line[:end]), _unescaped(line[start:]), number)
    except ValueError as error:
        raise Damaged(f"{name}, line {number}: {error}") from error


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_character, text)
    # Java writes characters beyond 16 bits as two escapes.
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(escape: re.Match[str]) -> str:
    said = escape[1]
    if len(said) > 1:
        return chr(int(said[1:], 16))
    if said == "u":
        raise ValueError(r"\u was given, \u and four hexadecimal digits are wanted; \\ is a backslash.")
    return _NAMED.get(said, said)
