"""An error as Amazon S3 writes it: its codes, its XML. Follows the S3 API Reference, "Error Responses"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.response import AwsResponse
from nearstream.wire.aws.s3.xml import document


@dataclass(frozen=True, slots=True)
class Fault:
    """What S3 calls a failure that the verifier named in the words of other services."""

    code: str
    status: int
    message: str = ""


_FAULTS: Final[Mapping[str, Fault]] = {
    "MissingAuthenticationTokenException": Fault(
        "AccessDenied", 403, "Access Denied: the call is not signed."
    ),
    "UnrecognizedClientException": Fault(
        "InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."
    ),
    "InvalidSignatureException": Fault("SignatureDoesNotMatch", 403),
    "IncompleteSignatureException": Fault("AuthorizationHeaderMalformed", 400),
}


def body(error: AwsError, *, resource: str, request_id: str, declared: bool = True) -> bytes:
    """The document that tells of `error`; `declared` False: what stands before it opened the document."""
    fault = _fault(error)
    words = [
        ("Code", fault.code),
        ("Message", fault.message or error.message),
        ("Resource", quote(resource, safe="/%", errors="surrogateescape")),
        ("RequestId", request_id),
    ]
    return document("Error", words, namespace="", declared=declared)


def failure(error: AwsError, *, resource: str, request_id: str) -> AwsResponse:
    """The whole answer to a call that failed before its answer began."""
    return AwsResponse(
        _fault(error).status,
        {"Content-Type": "application/xml"},
        body(error, resource=resource, request_id=request_id),
    )


def not_implemented(message: str) -> AwsError:
    """S3 has it, this store does not: said, never passed over."""
    return AwsError("NotImplemented", message, 501)


def _fault(error: AwsError) -> Fault:
    return _FAULTS.get(error.code, Fault(error.code, error.status))
