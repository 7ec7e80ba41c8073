"""Domain names as labels: lower case, within the limits of RFC 1035, with the octal escapes of Route 53."""

from __future__ import annotations

import re

Name = tuple[str, ...]
"""Labels from the left, without the root: ("www", "edge", "test")."""

WILDCARD = "*"
LONGEST_LABEL, LONGEST_NAME = 63, 255
_ASCII = range(128)
_ESCAPE = re.compile(r"\\([0-9]{3})|\\([^0-9])|([^\\.])|(\.)")


class BadName(ValueError):
    """A text that is no domain name."""


def parse_name(text: str) -> Name:
    """The labels of a name as people write it, with or without the dot at its end; `\\052` is `*`."""
    if text == ".":
        return ()
    labels, label, at = [], "", 0
    body = text if text.endswith(".") and not text.endswith("\\.") else text + "."
    while at < len(body):
        match = _ESCAPE.match(body, at)
        if not match:
            raise BadName(
                f"{text!r} is no domain name: a backslash needs three digits or a character after it"
            )
        octal, literal, plain, dot = match.groups()
        at = match.end()
        if dot:
            labels.append(_label(label, text))
            label = ""
        else:
            label += _character(int(octal, 8), text) if octal else literal or plain
    if sum(len(one) + 1 for one in labels) + 1 > LONGEST_NAME:
        raise BadName(f"a domain name has {LONGEST_NAME} bytes at most, and {text[:40]!r}... has more")
    return tuple(labels)


def show_name(name: Name) -> str:
    """A name as Route 53 lists it: every character but letters, digits, `-`, `_` and `.` as an octal
    escape.
    """
    return "".join(_escaped(label) + "." for label in name) or "."


def is_under(name: Name, ancestor: Name) -> bool:
    """The name itself or below it."""
    return len(name) >= len(ancestor) and name[len(name) - len(ancestor) :] == ancestor


def parents(name: Name, zone: Name) -> list[Name]:
    """The names above `name`, nearest first, `zone` last."""
    return [name[place:] for place in range(1, len(name) - len(zone) + 1)]


def _label(label: str, text: str) -> str:
    if not label:
        raise BadName(f"{text!r} is no domain name: it has an empty label")
    if len(label) > LONGEST_LABEL:
        raise BadName(f"a label has {LONGEST_LABEL} bytes at most; one of {text[:40]!r}... has {len(label)}")
    if not label.isascii():
        raise BadName(f"{text!r} has letters outside ASCII: write the name in its xn-- form")
    return label.lower()


def _character(code: int, text: str) -> str:
    if code not in _ASCII:
        raise BadName(f"{text!r} has an escape outside ASCII")
    return chr(code)


def _escaped(label: str) -> str:
    return "".join(one if one.isalnum() or one in "-_" else f"\\{ord(one):03o}" for one in label)
