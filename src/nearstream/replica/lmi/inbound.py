"""A call as DJL Serving reads it, before any model sees it: contents, properties, and whom it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
from aiohttp import web
from aiohttp.web_request import FileField

from nearstream.core.errors import Malformed
from nearstream.wire.dialects.json_bodies import decode

CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
DATA = "data"
"""The name of a body that is no form."""
_FORM, _PARTS = "application/x-www-form-urlencoded", "multipart/form-data"
_MODEL, _VERSION = "model_name", "model_version"


@dataclass(frozen=True, slots=True)
class Inbound:
    """`content`: query parameters and form fields by name, in order; else the body as "data".

    `properties`: the request's headers by lower-case name, and what its custom attributes say.
    """

    content: tuple[tuple[str, bytes], ...]
    properties: Mapping[str, str]
    body: bytes

    def first(self, key: str) -> str | None:
        """The first content under `key`, as text."""
        return next((value.decode(errors="replace") for name, value in self.content if name == key), None)

    def json_text(self, key: str) -> str | None:
        """What a JSON body has under `key`, if that is a text."""
        if f'"{key}"'.encode() not in self.body:
            return None
        try:
            found = decode(self.body, dict[str, msgspec.Raw]).get(key)
            return None if found is None else decode(bytes(found), str)
        except Malformed:
            return None

    @property
    def model(self) -> str | None:
        """Whom the call is for, where it says so: by query or form, by header, by body."""
        return self.first(_MODEL) or self.properties.get(_MODEL) or self.json_text(_MODEL)

    @property
    def version(self) -> str | None:
        return self.first(_VERSION) or self.properties.get(_VERSION)


async def read(request: web.Request) -> Inbound:
    """Raises Malformed for a form that cannot be read, and aiohttp's error for a body that is too large."""
    query = [(name, value.encode()) for name, value in request.query.items()]
    if request.content_type == _PARTS:  # which is read once, part by part
        fields = await _fields(request)
        body = dict(fields).get(DATA, b"")
    else:
        body = await request.read()
        fields = await _fields(request) if _is_form(request, body) else [(DATA, body)]
    properties = {name.lower(): value for name, value in request.headers.items()}
    properties |= dict(_attributes(request.headers.get(CUSTOM_ATTRIBUTES, "")))
    return Inbound((*query, *fields), properties, body)


def _is_form(request: web.Request, body: bytes) -> bool:
    """Curl's default Content-Type is a form's; a body that looks like JSON is JSON."""
    return request.content_type == _FORM and body.lstrip()[:1] not in {b"{", b"["}


async def _fields(request: web.Request) -> list[tuple[str, bytes]]:
    try:
        form = await request.post()
    except ValueError as error:
        raise Malformed(f"the form cannot be read: {error}") from error
    return [
        (name, value.file.read() if isinstance(value, FileField) else str(value).encode())
        for name, value in form.items()
    ]


def _attributes(header: str) -> Iterator[tuple[str, str]]:
    """`a=1;b=2` of SageMaker's custom attributes; a part without `=` is ignored."""
    for part in header.split(";"):
        name, sign, value = part.partition("=")
        if sign:
            yield name.strip().lower(), value.strip()
