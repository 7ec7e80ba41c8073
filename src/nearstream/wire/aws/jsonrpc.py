"""The JSON 1.0 and 1.1 protocols: `POST /`, the operation named by X-Amz-Target, JSON both ways."""

from __future__ import annotations

import json

import msgspec

from nearstream.wire.aws import serialise, validate
from nearstream.wire.aws.answer import Answer
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.service import Document, ServiceDescription


def operation_name(service: ServiceDescription, target: str) -> str:
    """The operation that an X-Amz-Target header names. Raises AwsError UnknownOperationException."""
    prefix, _, name = target.rpartition(".")
    if prefix != service.target_prefix:
        raise AwsError(
            "UnknownOperationException", f"'{target[:200]}' is no operation of {service.name}", 400
        )
    service.operation(name)
    return name


def parse(service: ServiceDescription, operation: str, body: bytes) -> Document:
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


def answer(service: ServiceDescription, operation: str, output: Document, *, request_id: str) -> Answer:
    """What an operation gave, on the wire; one without an output shape answers an empty body."""
    shape = service.operation(operation).output_shape
    body = b"" if shape is None else msgspec.json.encode(serialise.to_json(shape, output))
    return Answer(200, _headers(service, request_id), body)


def failure(service: ServiceDescription, error: AwsError, *, request_id: str) -> Answer:
    """`error` on the wire."""
    body = json.dumps({"__type": error.code, "message": error.message, **error.fields}).encode()
    return Answer(error.status, _headers(service, request_id) | {"x-amzn-errortype": error.code}, body)


def _headers(service: ServiceDescription, request_id: str) -> dict[str, str]:
    version = service.model.metadata.get("jsonVersion", "1.1")
    return {"Content-Type": f"application/x-amz-json-{version}", "x-amzn-RequestId": request_id}
