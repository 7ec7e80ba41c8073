"""The rest-xml protocol: operations by method and path, an XML body."""

from __future__ import annotations

from functools import partial

from botocore.model import Shape

from nearstream.wire.aws import rest, xml
from nearstream.wire.aws.response import AwsResponse
from nearstream.wire.aws.service import Call, Document, ServiceDescription, Value
from nearstream.wire.aws.signed_request import RawRequest


def parse(service: ServiceDescription, request: RawRequest) -> Call:
    """Raises AwsError, and Invalid for an input that breaks its shape."""
    return rest.parse(service, request, xml.read)


def answer(service: ServiceDescription, operation: str, output: Document, *, request_id: str) -> AwsResponse:
    """What an operation gave, on the wire."""
    return rest.answer(
        service,
        operation,
        output,
        request_id=request_id,
        content_type="text/xml",
        write_payload=partial(_write, service),
    )


def _write(service: ServiceDescription, shape: Shape, value: Value) -> bytes:
    declared = shape.serialization.get("xmlNamespace", {}).get("uri", "")
    uri = declared or service.model.metadata.get("xmlNamespace", "")
    return (xml.DECLARATION + xml.write(shape, value, shape.name, attributes=xml.namespace(uri))).encode()
