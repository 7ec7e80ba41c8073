"""AWS's protocols in a table: how each reads a call, writes an answer and writes an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from nearstream.wire.aws import cbor, jsonrpc, query, restjson, restxml
from nearstream.wire.aws.errors import AwsError, ErrorContext
from nearstream.wire.aws.response import AwsResponse
from nearstream.wire.aws.service import Call, Document, ServiceDescription
from nearstream.wire.aws.signed_request import RawRequest


class WriteOutput(Protocol):
    def __call__(
        self, service: ServiceDescription, operation: str, output: Document, *, request_id: str
    ) -> AwsResponse: ...


@dataclass(frozen=True, slots=True)
class Codec:
    """One protocol in which operations are served."""

    parse: Callable[[ServiceDescription, RawRequest], Call]
    answer: WriteOutput


CODECS: Final[Mapping[str, Codec]] = {
    "json": Codec(jsonrpc.parse, jsonrpc.answer),
    "rest-json": Codec(restjson.parse, restjson.answer),
    "query": Codec(query.parse, query.answer),
    "rest-xml": Codec(restxml.parse, restxml.answer),
}
"""EC2's query protocol and CBOR are known for their errors alone."""

_FORM: Final = "application/x-www-form-urlencoded"


def spoken(request: RawRequest, protocols: Sequence[str] = ()) -> str:
    """The protocol of a request, of `protocols` that its service has; without them the likeliest."""
    if request.header("smithy-protocol") == "rpc-v2-cbor":
        return "smithy-rpc-v2-cbor"
    if request.header("x-amz-target"):
        return "json"
    if request.header("content-type").startswith(_FORM) and (not protocols or "query" in protocols):
        return "query"
    return next((name for name in protocols if name != "smithy-rpc-v2-cbor"), "rest-json")


_FAILURES: Final[Mapping[str, Callable[[AwsError, ErrorContext], AwsResponse]]] = {
    "json": jsonrpc.failure,
    "rest-json": restjson.failure,
    "query": query.failure,
    "ec2": query.ec2_failure,
    "rest-xml": query.failure,
    "smithy-rpc-v2-cbor": cbor.failure,
}


def failure(protocol: str, error: AwsError, context: ErrorContext) -> AwsResponse:
    """`error` in a protocol; rest-json for one that is not known."""
    return _FAILURES.get(protocol, restjson.failure)(error, context)
