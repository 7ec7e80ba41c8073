"""The rest-json protocol: operations by method and path, a JSON body."""

from __future__ import annotations

import msgspec
from botocore.model import Shape

from nearstream.wire.aws import rest, serialise, validate
from nearstream.wire.aws.errors import AwsError, ErrorContext
from nearstream.wire.aws.response import AwsResponse
from nearstream.wire.aws.service import Call, Document, ServiceDescription, Value
from nearstream.wire.aws.signed_request import RawRequest


def parse(service: ServiceDescription, request: RawRequest) -> Call:
    """Raises AwsError, and Invalid for an input that breaks its shape."""
    return rest.parse(service, request, _read)


def _read(shape: Shape, body: bytes) -> Document:
    document = serialise.decode(body)
    validate.check_type(shape, document)
    parsed: Document = serialise.from_json(shape, document)
    return parsed


def answer(service: ServiceDescription, operation: str, output: Document, *, request_id: str) -> AwsResponse:
    """What an operation gave, on the wire."""
    return rest.answer(
        service,
        operation,
        output,
        request_id=request_id,
        content_type="application/json",
        write_payload=_write,
    )


def _write(shape: Shape, value: Value) -> bytes:
    return msgspec.json.encode(serialise.to_json(shape, value))


def failure(error: AwsError, context: ErrorContext) -> AwsResponse:
    """`error` on the wire."""
    headers = {
        "Content-Type": "application/json",
        "x-amzn-ErrorType": error.code,
        "x-amzn-RequestId": context.request_id,
    }
    return AwsResponse(error.status, headers, msgspec.json.encode({"Message": error.message, **error.fields}))
