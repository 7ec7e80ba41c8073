"""XML bodies by their shapes, as the query and rest-xml protocols have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from botocore.model import Shape

from nearstream.wire.aws import serialise
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.service import Document, Value

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def write(shape: Shape, value: Value, name: str, *, attributes: str = "") -> str:
    """`value` as an element `name`; what the shape does not know and None are left out."""
    return f"<{name}{attributes}>{_inner(shape, value)}</{name}>"


def namespace(uri: str) -> str:
    """The attribute that names the default namespace; empty for no `uri`."""
    return f" xmlns={quoteattr(uri)}" if uri else ""


def _inner(shape: Shape, value: Value) -> str:
    if shape.type_name == "structure":
        return "".join(_members(shape, value))
    if shape.type_name == "list":
        return "".join(write(shape.member, item, _name(shape.member, "member")) for item in value)
    if shape.type_name == "map":
        return "".join(_entry(shape, key, item, "entry") for key, item in value.items())
    return escape(serialise.to_text(shape, value, timestamps="iso8601"))


def _members(shape: Shape, value: Document) -> Iterator[str]:
    for key, member in shape.members.items():
        if value.get(key) is not None and "location" not in member.serialization:
            yield from _member(member, value[key], _name(member, key))


def _member(member: Shape, value: Value, name: str) -> Iterator[str]:
    if not member.serialization.get("flattened"):
        yield write(member, value, name)
    elif member.type_name == "list":
        each = _name(member.member, name)
        for item in value:
            yield write(member.member, item, each)
    else:
        for key, item in value.items():
            yield _entry(member, key, item, name)


def _entry(shape: Shape, key: str, item: Value, name: str) -> str:
    named, valued = _name(shape.key, "key"), _name(shape.value, "value")
    return f"<{name}><{named}>{escape(key)}</{named}>{write(shape.value, item, valued)}</{name}>"


def _name(shape: Shape, otherwise: str) -> str:
    return str(shape.serialization.get("name", otherwise))


def read(shape: Shape, body: bytes) -> Document:
    """The members that a document holds. Raises AwsError MalformedXML, and Invalid."""
    if b"<!DOCTYPE" in body:
        raise AwsError("MalformedXML", "A document type is not taken.", 400)
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  # without a document type there are no entities
    except ElementTree.ParseError as error:
        raise AwsError("MalformedXML", f"The XML cannot be read: {error}", 400) from None
    document: Document = _value(shape, root)
    return document


def _value(shape: Shape, element: ElementTree.Element) -> Value:
    if shape.type_name == "structure":
        return {
            key: value
            for key, member in shape.members.items()
            if "location" not in member.serialization
            and (value := _member_value(member, element, _name(member, key))) is not None
        }
    if shape.type_name == "list":
        return [_value(shape.member, child) for child in element]
    if shape.type_name == "map":
        return _map(shape, list(element))
    return serialise.from_text(shape, element.text or "")


def _member_value(member: Shape, element: ElementTree.Element, name: str) -> Value:
    if member.serialization.get("flattened"):
        if member.type_name == "map":
            return _map(member, _children(element, name)) or None
        found = _children(element, _name(member.member, name))
        return [_value(member.member, child) for child in found] or None
    children = _children(element, name)
    return _value(member, children[-1]) if children else None


def _map(shape: Shape, entries: list[ElementTree.Element]) -> Document:
    named, valued = _name(shape.key, "key"), _name(shape.value, "value")
    return {
        _children(entry, named)[0].text or "": _value(shape.value, _children(entry, valued)[0])
        for entry in entries
        if _children(entry, named) and _children(entry, valued)
    }


def _children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [child for child in element if child.tag.rpartition("}")[2] == name]
