"""What rest-json and rest-xml share: members in the path, the query, the headers and the status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from botocore.model import Shape
from multidict import CIMultiDict

from nearstream.wire.aws import serialise, validate
from nearstream.wire.aws.response import AwsResponse
from nearstream.wire.aws.service import Call, Document, ServiceDescription, Value
from nearstream.wire.aws.signed_request import RawRequest

ReadPayload = Callable[[Shape, bytes], Document]
"""Reads a body to the members that it holds."""


def parse(service: ServiceDescription, request: RawRequest, read_payload: ReadPayload) -> Call:
    """The operation at the request's path and its checked input. Raises AwsError and Invalid."""
    operation, labels = service.match(request.method, request.path, request.query)
    shape = service.operation(operation).input_shape
    if shape is None:
        return Call(operation, {})
    body = request.body or b""
    document = payload(shape, body, read_payload)
    query = parse_qs(request.query, keep_blank_values=True)
    headers = CIMultiDict(request.headers)
    for name, member in shape.members.items():
        value = _located(member, name, labels, query, headers)
        if value is not None:
            document[name] = value
    validate.check(shape, document)
    return Call(operation, document)


def payload(shape: Shape, body: bytes, read_payload: ReadPayload) -> Document:
    """The members that lie in the body."""
    name = shape.serialization.get("payload")
    member = shape.members[name] if name else shape
    if member.type_name in ("blob", "string"):
        return {name: body if member.type_name == "blob" else body.decode(errors="replace")}
    if not body:
        return {}
    parsed = read_payload(member, body)
    return {name: parsed} if name else parsed


def _located(
    member: Shape,
    name: str,
    labels: Mapping[str, str],
    query: Mapping[str, list[str]],
    headers: Mapping[str, str],
) -> Value:
    where, key = member.serialization.get("location"), member.serialization.get("name", name)
    text: str | None = None
    if where == "uri":
        text = labels.get(key)
    elif where == "header":
        text = headers.get(key)
    elif where == "headers":
        return _prefixed(headers, key)
    elif where == "querystring" and key in query:
        if member.type_name == "list":
            return [serialise.from_text(member.member, item) for item in query[key]]
        text = query[key][-1]
    return None if text is None else serialise.from_text(member, text)


def _prefixed(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    lower = prefix.lower()
    return {key[len(prefix) :]: value for key, value in headers.items() if key.lower().startswith(lower)}


def answer(
    service: ServiceDescription,
    operation: str,
    output: Document,
    *,
    request_id: str,
    content_type: str,
    write_payload: Callable[[Shape, Value], bytes],
) -> AwsResponse:
    """What an operation gave, on the wire; `write_payload` writes the members that lie in the body."""
    model = service.operation(operation)
    headers = {"x-amzn-RequestId": request_id}
    body = b""
    if model.output_shape is not None:
        headers |= _output_headers(model.output_shape, output)
        body = _output_body(model.output_shape, output, write_payload)
        headers.setdefault("Content-Type", content_type)
    return AwsResponse(model.http.get("responseCode", 200), headers, body)


def _output_headers(shape: Shape, output: Document) -> dict[str, str]:
    headers = {}
    for name, member in shape.members.items():
        if member.serialization.get("location") == "header" and output.get(name) is not None:
            headers[member.serialization.get("name", name)] = serialise.to_text(
                member, output[name], timestamps="rfc822"
            )
    return headers


def _output_body(shape: Shape, output: Document, write_payload: Callable[[Shape, Value], bytes]) -> bytes:
    name = shape.serialization.get("payload")
    if name is None:
        plain = {key for key, member in shape.members.items() if "location" not in member.serialization}
        return write_payload(shape, {key: value for key, value in output.items() if key in plain})
    value = output.get(name)
    if isinstance(value, bytes):
        return value
    return b"" if value is None else write_payload(shape.members[name], value)
