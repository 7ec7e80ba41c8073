"""The JSON 1.0 and 1.1 protocols: `POST /`, the operation named by X-Amz-Target, JSON both ways."""

from __future__ import annotations

import json

import msgspec

from nearstream.wire.aws import serialise, validate
from nearstream.wire.aws.errors import AwsError, ErrorContext
from nearstream.wire.aws.response import AwsResponse
from nearstream.wire.aws.service import Call, Document, ServiceDescription, UnknownOperation
from nearstream.wire.aws.signed_request import RawRequest


def parse(service: ServiceDescription, request: RawRequest) -> Call:
    """Raises UnknownOperation, AwsError SerializationException, and Invalid for what breaks its shape."""
    operation = operation_name(service, request.header("x-amz-target"))
    return Call(operation, parse_body(service, operation, request.body or b""))


def operation_name(service: ServiceDescription, target: str) -> str:
    """The operation that an X-Amz-Target header names. Raises UnknownOperation."""
    prefix, _, name = target.rpartition(".")
    if prefix != service.target_prefix:
        raise UnknownOperation(target[:200], f"'{target[:200]}' is no operation of {service.name}")
    service.operation(name)
    return name


def parse_body(service: ServiceDescription, operation: str, body: bytes) -> Document:
    """An operation's checked input. Raises AwsError SerializationException, and Invalid."""
    document = serialise.decode(body) if body else {}
    shape = service.operation(operation).input_shape
    if not isinstance(document, dict):
        raise AwsError("SerializationException", "The body must be a JSON object", 400)
    if shape is None:
        return {}
    validate.check_type(shape, document)
    parsed: Document = serialise.from_json(shape, document)
    validate.check(shape, parsed)
    return parsed


def answer(service: ServiceDescription, operation: str, output: Document, *, request_id: str) -> AwsResponse:
    """What an operation gave, on the wire; one without an output shape answers an empty body."""
    shape = service.operation(operation).output_shape
    body = b"" if shape is None else msgspec.json.encode(serialise.to_json(shape, output))
    return AwsResponse(200, _headers(service.model.metadata.get("jsonVersion", "1.1"), request_id), body)


def failure(error: AwsError, context: ErrorContext) -> AwsResponse:
    """`error` on the wire."""
    body = json.dumps({"__type": error.code, "message": error.message, **error.fields}).encode()
    headers = _headers(context.json_version, context.request_id) | {"x-amzn-errortype": error.code}
    return AwsResponse(error.status, headers, body)


def _headers(json_version: str, request_id: str) -> dict[str, str]:
    return {"Content-Type": f"application/x-amz-json-{json_version}", "x-amzn-RequestId": request_id}
