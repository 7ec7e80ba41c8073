"""The query protocol: a form with Action and members as `A.member.1.B`, answered in XML.

EC2's variant of it is here as far as errors go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import Shape

from nearstream.wire.aws import serialise, validate, xml
from nearstream.wire.aws.errors import AwsError, ErrorContext
from nearstream.wire.aws.response import AwsResponse
from nearstream.wire.aws.service import Call, Document, ServiceDescription, UnknownOperation, Value
from nearstream.wire.aws.signed_request import RawRequest

MAX_FIELDS: Final = 10_000
_CLIENT_ERRORS: Final = range(400, 500)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,4}")

_Tree = dict[str, "_Tree | str"]
"""The form by the parts of its names: `A.member.1=x` is {"A": {"member": {"1": "x"}}}."""


def parse(service: ServiceDescription, request: RawRequest) -> Call:
    """Raises UnknownOperation, AwsError, and Invalid for an input that breaks its shape."""
    form = _form(request)
    operation = form.get("Action", "")
    if not operation:
        raise UnknownOperation("", f"The form names no Action of {service.name}.")
    shape = service.operation(operation).input_shape
    if shape is None:
        return Call(operation, {})
    document: Document = _value(shape, _tree(form)) or {}
    validate.check(shape, document)
    return Call(operation, document)


def _form(request: RawRequest) -> dict[str, str]:
    text = (request.body or b"").decode(errors="replace") if request.method == "POST" else request.query
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise AwsError("MalformedQueryString", f"The form has more than {MAX_FIELDS} fields.", 400) from None


def _tree(form: Mapping[str, str]) -> _Tree:
    root: _Tree = {}
    for name, text in form.items():
        node, (*parents, last) = root, name.split(".")
        for part in parents:
            child = node.setdefault(part, {})
            if isinstance(child, str):
                raise AwsError("MalformedQueryString", f"'{name[:200]}' has a value and members.", 400)
            node = child
        node[last] = text
    return root


def _value(shape: Shape, node: _Tree | str) -> Value:
    kind = shape.type_name
    if isinstance(node, str):
        if kind == "list" and not node:
            return []
        if kind in ("structure", "list", "map"):
            raise AwsError("MalformedInput", f"A {kind} was expected, and a value came.", 400)
        return serialise.from_text(shape, node)
    if kind == "structure":
        return {
            name: _value(member, node[key])
            for name, member in shape.members.items()
            if (key := str(member.serialization.get("name", name))) in node
        }
    if kind == "list":
        return _list(shape, node)
    if kind == "map":
        return _map(shape, node)
    raise AwsError("MalformedInput", f"A {kind} was expected, and a structure came.", 400)


def _list(shape: Shape, node: _Tree) -> Value:
    items = node if shape.serialization.get("flattened") else _child(node, shape.member, "member")
    return [_value(shape.member, item) for item in _numbered(items)]


def _map(shape: Shape, node: _Tree) -> Value:
    entries = node if shape.serialization.get("flattened") else node.get("entry", {})
    key, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
    return {
        str(entry[key]): _value(shape.value, entry[value])
        for entry in _numbered(entries)
        if isinstance(entry, dict) and key in entry and value in entry
    }


def _child(node: _Tree, member: Shape, otherwise: str) -> _Tree | str:
    return node.get(str(member.serialization.get("name", otherwise)), node.get(otherwise, {}))


def _numbered(node: _Tree | str) -> list[_Tree | str]:
    if isinstance(node, str):
        return []
    numbered = {int(key): item for key, item in node.items() if _NUMBER.fullmatch(key)}
    return [numbered[number] for number in sorted(numbered)]


def answer(service: ServiceDescription, operation: str, output: Document, *, request_id: str) -> AwsResponse:
    """What an operation gave, on the wire."""
    shape = service.operation(operation).output_shape
    namespace = xml.namespace(service.model.metadata.get("xmlNamespace", ""))
    result = ""
    if shape is not None:
        result = xml.write(shape, output, shape.serialization.get("resultWrapper", f"{operation}Result"))
    about = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    text = f"<{operation}Response{namespace}>{result}{about}</{operation}Response>"
    return AwsResponse(200, _headers(request_id), text.encode())


def failure(error: AwsError, context: ErrorContext) -> AwsResponse:
    """`error` on the wire."""
    side = "Sender" if error.status in _CLIENT_ERRORS else "Receiver"
    text = (
        f"<ErrorResponse{xml.namespace(context.namespace)}><Error><Type>{side}</Type>{_told(error)}</Error>"
        f"<RequestId>{context.request_id}</RequestId></ErrorResponse>"
    )
    return AwsResponse(error.status, _headers(context.request_id), (xml.DECLARATION + text).encode())


def ec2_failure(error: AwsError, context: ErrorContext) -> AwsResponse:
    """`error` as EC2 writes it."""
    told = f"<Errors><Error>{_told(error)}</Error></Errors>"
    text = f"<Response>{told}<RequestID>{context.request_id}</RequestID></Response>"
    return AwsResponse(error.status, _headers(context.request_id), (xml.DECLARATION + text).encode())


_CODES: Final[Mapping[str, str]] = {
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ExpiredTokenException": "ExpiredToken",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "IncompleteSignatureException": "IncompleteSignature",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "ThrottlingException": "Throttling",
}
"""What services of this protocol call errors that every service has."""


def _told(error: AwsError) -> str:
    code = _CODES.get(error.code, error.code)
    return f"<Code>{escape(code)}</Code><Message>{escape(error.message)}</Message>"


def _headers(request_id: str) -> dict[str, str]:
    return {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}
