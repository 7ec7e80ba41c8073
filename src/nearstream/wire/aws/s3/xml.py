"""S3's XML documents, written from pairs and read into pairs; no DTD, no entities of a document's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from xml.parsers import expat

from nearstream.wire.aws.errors import AwsError

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_DEEPEST: Final = 8
_ESCAPED: Final = re.compile("[&<>\x00-\x1f\x7f\ufffe\uffff]")
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

Pairs: TypeAlias = "Sequence[tuple[str, str | int | Pairs]]"


@dataclass(slots=True)
class Element:
    """One element that was read: its name without prefix, its text, its children."""

    name: str
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def value(self, name: str) -> str | None:
        """The text of the first child of that name."""
        return next((child.text.strip() for child in self.children if child.name == name), None)

    def all(self, name: str) -> list[Element]:
        """The children of that name."""
        return [child for child in self.children if child.name == name]


def document(name: str, content: str | Pairs, *, namespace: str = NAMESPACE, declared: bool = True) -> bytes:
    """A whole document, in UTF-8; `content` is text or elements."""
    attribute = f' xmlns="{namespace}"' if namespace else ""
    (element,) = _elements([(name + attribute, content)])
    return (DECLARATION if declared else b"") + element.encode(errors="surrogateescape")


def _elements(pairs: Pairs) -> Iterable[str]:
    for name, value in pairs:
        if isinstance(value, (str, int)):
            yield f"<{name}>{_ESCAPED.sub(_escape, str(value))}</{name.partition(' ')[0]}>"
        else:
            yield f"<{name}>{''.join(_elements(value))}</{name.partition(' ')[0]}>"


def _escape(found: re.Match[str]) -> str:
    """Control characters as S3 writes them: XML 1.0 has no form for them, so clients ask for URL encoding."""
    return _NAMED.get(found[0]) or f"&#x{ord(found[0]):x};"


def parse(body: bytes, root: str) -> Element:
    """The document's root, which must be called `root`. Raises AwsError MalformedXML."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError):
        raise _malformed("it is not XML") from None
    if reader.root is None or reader.root.name != root:
        raise _malformed(f"{root} was wanted")
    return reader.root


class _Reader:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []

    def start(self, name: str, _attributes: object) -> None:
        element = Element(name.rpartition(" ")[2])
        if len(self._open) >= _DEEPEST:
            raise _malformed("it is nested too deeply")
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def characters(self, text: str) -> None:
        self._open[-1].text += text

    def refuse(self, *_: object) -> None:
        raise _malformed("a document type is not taken")


def _malformed(why: str) -> AwsError:
    return AwsError(
        "MalformedXML",
        f"The XML you provided was not well-formed or did not validate against our published schema: {why}.",
    )
