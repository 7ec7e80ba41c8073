"""The rest-json protocol: operations by method and path; members in path, query, headers and a JSON body."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

import msgspec
from botocore.model import Shape

from nearstream.wire.aws import serialise, validate
from nearstream.wire.aws.answer import Answer
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.service import Document, ServiceDescription, Value


def parse(
    service: ServiceDescription, method: str, target: tuple[str, str], headers: Mapping[str, str], body: bytes
) -> tuple[str, Document]:
    """The operation and its checked input; `target` is the raw path and query.

    `headers` answers to any case. Raises AwsError, and Invalid for an input that breaks its shape.
    """
    operation, labels = service.match(method, target[0])
    shape = service.operation(operation).input_shape
    if shape is None:
        return operation, {}
    document: Document = _payload(shape, body)
    query = parse_qs(target[1], keep_blank_values=True)
    for name, member in shape.members.items():
        value = _located(member, name, labels, query, headers)
        if value is not None:
            document[name] = value
    validate.check(shape, document)
    return operation, document


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
            return [_from_text(member.member, item) for item in query[key]]
        text = query[key][-1]
    return None if text is None else _from_text(member, text)


def _prefixed(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    lower = prefix.lower()
    return {key[len(prefix) :]: value for key, value in headers.items() if key.lower().startswith(lower)}


def _from_text(shape: Shape, text: str) -> Value:
    kind = shape.type_name
    try:
        if kind in ("integer", "long"):
            return int(text)
        if kind in ("float", "double"):
            return float(text)
    except ValueError:
        raise AwsError(
            "SerializationException", f"STRING_VALUE cannot be converted to {kind.capitalize()}"
        ) from None
    if kind == "boolean":
        return text.lower() == "true"
    return serialise.parse_timestamp(text) if kind == "timestamp" else text


def _payload(shape: Shape, body: bytes) -> Document:
    payload = shape.serialization.get("payload")
    member = shape.members[payload] if payload else shape
    if member.type_name == "blob":
        return {payload: body}
    if not body:
        return {}
    document = serialise.decode(body)
    validate.check_type(member, document)
    parsed = serialise.from_json(member, document)
    return {payload: parsed} if payload else parsed


def answer(service: ServiceDescription, operation: str, output: Document, *, request_id: str) -> Answer:
    """What an operation gave, on the wire."""
    model = service.operation(operation)
    headers = {"x-amzn-RequestId": request_id}
    body = b""
    if model.output_shape is not None:
        headers |= _output_headers(model.output_shape, output)
        body = _output_body(model.output_shape, output)
        headers.setdefault("Content-Type", "application/json")
    return Answer(model.http.get("responseCode", 200), headers, body)


def _output_headers(shape: Shape, output: Document) -> dict[str, str]:
    headers = {}
    for name, member in shape.members.items():
        if member.serialization.get("location") == "header" and output.get(name) is not None:
            headers[member.serialization.get("name", name)] = _to_text(member, output[name])
    return headers


def _to_text(shape: Shape, value: Value) -> str:
    if shape.type_name == "timestamp":
        return str(serialise.timestamp(shape, value, "rfc822"))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _output_body(shape: Shape, output: Document) -> bytes:
    payload = shape.serialization.get("payload")
    if payload is None:
        plain = {name for name, member in shape.members.items() if "location" not in member.serialization}
        inside = {name: value for name, value in output.items() if name in plain}
        return msgspec.json.encode(serialise.to_json(shape, inside))
    value, member = output.get(payload), shape.members[payload]
    if isinstance(value, bytes):
        return value
    return b"" if value is None else msgspec.json.encode(serialise.to_json(member, value))


def failure(error: AwsError, *, request_id: str) -> Answer:
    """`error` on the wire."""
    headers = {
        "Content-Type": "application/json",
        "x-amzn-ErrorType": error.code,
        "x-amzn-RequestId": request_id,
    }
    return Answer(error.status, headers, msgspec.json.encode({"Message": error.message, **error.fields}))
