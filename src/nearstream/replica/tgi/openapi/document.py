"""/api-doc/openapi.json and /docs: every route with what it takes, its answer and its errors.

Schemas come from the types that read the bodies, and from `shapes`, which tests hold against real answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from nearstream.replica.operation import PRIORITY_HEADER
from nearstream.replica.settings import ServerSettings
from nearstream.replica.tgi.openapi.bounds import bounded
from nearstream.replica.tgi.openapi.operations import GET, HTML, JSON, Route, operations
from nearstream.replica.tgi.openapi.page import page
from nearstream.wire.dialects.tgi.shapes import ErrorBody
from nearstream.wire.framing import sse

Document = dict[str, Any]
OPENAPI = "3.1.0"
TITLE = "nearstream: a model server with the wire of Text Generation Inference"
# Types under the names that TGI's own document has for them.
_NAMES = {
    "ErrorBody": "ErrorResponse",
    "GenerateBody": "GenerateRequest",
    "Parameters": "GenerateParameters",
    "ChatBody": "ChatRequest",
    "CompletionBody": "CompletionRequest",
    "ChatTurn": "Message",
    "AdapterBody": "AdapterRequest",
}
_REF = "#/components/schemas/"
_ERRORS = {
    400: "The body is not JSON",
    404: "There is nothing of this name",
    409: "The name is taken",
    413: "The body is too large",
    415: "The body is error_content to be something else than JSON",
    422: "The body breaks a rule, or asks for what the engine cannot do",
    424: "Generation failed",
    429: "The server is full; the same call may succeed later",
    500: "Generation ended before it was complete",
    503: "Loading, restarting or stopping",
}
_ANSWER, _STREAM = "The answer", "The answer; where it is streamed, an event for each token"
_REQUEST_ID = "Names the call, in its answer and for /abort. One is made up where it is missing."
_PRIORITY = "Who goes first when the batch is full."


def pages(settings: ServerSettings) -> dict[str, Handler]:
    """The two routes that describe the others."""
    described = document(settings)
    encoded, html = msgspec.json.encode(described), page(described)

    async def as_json(request: web.Request) -> web.Response:
        return web.Response(body=encoded, content_type=JSON)

    async def as_page(request: web.Request) -> web.Response:
        return web.Response(text=html, content_type=HTML)

    return {"/api-doc/openapi.json": as_json, "/docs": as_page}


def document(settings: ServerSettings) -> Document:
    """The OpenAPI document of a server with these settings."""
    every, secured = (
        list(operations(settings.terms, messages_api=settings.messages_api)),
        settings.api_key is not None,
    )
    kinds = [kind for call in every for kind in (*call.takes.body, *call.takes.answer, *call.takes.events)]
    schemas, components = msgspec.json.schema_components([*kinds, ErrorBody], ref_template=_REF + "{name}")
    by_kind = {str(kind): _renamed(schema) for kind, schema in zip(kinds, schemas, strict=False)}
    paths: dict[str, Document] = {}
    for call in every:
        operation = _operation(call, by_kind) | (_secured(call) if secured else {})
        paths.setdefault(call.path, {})[call.method.lower()] = operation
    parts: Document = {"schemas": bounded(_renamed(components), settings.terms.limits)}
    if secured:
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    info = {"title": TITLE, "version": settings.terms.release.version, "license": {"name": "Apache-2.0"}}
    return {"openapi": OPENAPI, "info": info, "paths": paths, "components": parts}


def _operation(call: Route, by_kind: dict[str, Document]) -> Document:
    described: Document = {
        "summary": call.summary,
        "tags": [call.tag],
        "operationId": f"{call.method.lower()}{call.path}".replace("/", "_").strip("_"),
        "parameters": list(_parameters(call)),
        "responses": _responses(call, by_kind),
    }
    if call.takes.body:
        content = {JSON: {"schema": _one_of(call.takes.body, by_kind)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _secured(call: Route) -> Document:
    return {} if call.method is GET else {"security": [{"key": []}]}


def _parameters(call: Route) -> Iterator[Document]:
    text = {"type": "string"}
    for name in re.findall(r"\{(\w+)\}", call.path):
        yield {"name": name, "in": "path", "required": True, "schema": text}
    if call.generates:
        yield {"name": "x-request-id", "in": "header", "schema": text, "description": _REQUEST_ID}
        priority = {"type": "string", "enum": ["high", "normal", "low"], "default": "normal"}
        yield {"name": PRIORITY_HEADER, "in": "header", "schema": priority, "description": _PRIORITY}


def _responses(call: Route, by_kind: dict[str, Document]) -> Document:
    takes, content = call.takes, Document()
    if takes.answer:
        content[takes.media] = {"schema": _one_of(takes.answer, by_kind)}
    if takes.events:
        content[sse.CONTENT_TYPE] = {"schema": _event(_one_of(takes.events, by_kind), done=takes.done)}
    answer: Document = {"description": _STREAM if takes.events else _ANSWER}
    found: Document = {"200": answer | ({"content": content} if content else {})}
    if call.method is not GET:
        found["401"] = {"description": "The key is missing or wrong"}
    error_content = {JSON: {"schema": {"$ref": f"{_REF}ErrorResponse"}}}
    for status in call.errors:
        found[str(status)] = {"description": _ERRORS[status], "content": error_content}
    return found


def _event(content: Document, *, done: bool) -> Document:
    """A server-sent event whose data is JSON; `done`: the last one's is the text [DONE]."""
    data: Document = {"type": "string", "contentMediaType": JSON, "contentSchema": content}
    either = {"anyOf": [{"const": "[DONE]"}, data]} if done else data
    return {"type": "object", "properties": {"data": either}, "required": ["data"]}


def _one_of(kinds: tuple[Any, ...], by_kind: dict[str, Document]) -> Document:
    found = [by_kind[str(kind)] for kind in kinds]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _renamed(document: Document) -> Document:
    """With TGI's names of types."""
    text = msgspec.json.encode(document).decode()
    for ours, theirs in _NAMES.items():
        text = text.replace(f'"{ours}"', f'"{theirs}"').replace(f'"{_REF}{ours}"', f'"{_REF}{theirs}"')
    renamed: Document = msgspec.json.decode(text)
    return renamed
