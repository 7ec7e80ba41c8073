"""InvokeEndpoint and InvokeEndpointWithResponseStream: the path and headers in, the answer's headers out.

They are on the way of every token's first byte, so they are read by hand; the tests hold this to
botocore's model of sagemaker-runtime.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from nearstream.core.invocations import NEW_SESSION, Invocation, StreamFailure
from nearstream.wire.aws import validate
from nearstream.wire.aws.service import UnknownOperation
from nearstream.wire.framing import eventstream

VARIANT_HEADER: Final = "x-Amzn-Invoked-Production-Variant"
_H: Final = "X-Amzn-SageMaker-"
_CUSTOM_ATTRIBUTES: Final = _H + "Custom-Attributes"
_SESSION: Final = _H + "Session-Id"
_NEW_SESSION: Final = _H + "New-Session-Id"
_CLOSED_SESSION: Final = _H + "Closed-Session-Id"


@dataclass(frozen=True, slots=True)
class _Rule:
    """The constraints of one member: its name, its lengths, its pattern in AWS's words and in ours."""

    at: str
    longest: int
    shortest: int = 0
    pattern: str = ""
    matches: re.Pattern[str] = re.compile(r"[\s\S]*")

    def violations(self, value: str) -> list[str]:
        found = []
        if len(value) > self.longest:
            found.append(f"Member must have length less than or equal to {self.longest}")
        if len(value) < self.shortest:
            found.append(f"Member must have length greater than or equal to {self.shortest}")
        if not self.matches.fullmatch(value):
            found.append(f"Member must satisfy regular expression pattern: {self.pattern}")
        return [validate.violation(value, self.at, text) for text in found]


_NAME: Final = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_ASCII: Final = re.compile(r"[\x00-\x7f]*")
_PRINTABLE: Final = re.compile(r"\S[ -~]*", re.ASCII)
_COMPONENT: Final = re.compile(r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?")
_NAME_PATTERN: Final = "^[a-zA-Z0-9](-*[a-zA-Z0-9])*"
_ASCII_PATTERN: Final = r"\p{ASCII}*"
_PRINTABLE_PATTERN: Final = r"\A\S[\p{Print}]*\z"

_RULES: Final[Mapping[str, _Rule]] = {
    "endpoint": _Rule("endpointName", 63, 0, _NAME_PATTERN, _NAME),
    "content_type": _Rule("contentType", 1024, 0, _ASCII_PATTERN, _ASCII),
    "accept": _Rule("accept", 1024, 0, _ASCII_PATTERN, _ASCII),
    "custom_attributes": _Rule("customAttributes", 1024, 0, _ASCII_PATTERN, _ASCII),
    "target_model": _Rule("targetModel", 1024, 1, _PRINTABLE_PATTERN, _PRINTABLE),
    "variant": _Rule("targetVariant", 63, 0, _NAME_PATTERN, _NAME),
    "target_container": _Rule("targetContainerHostname", 63, 0, _NAME_PATTERN, _NAME),
    "inference_id": _Rule("inferenceId", 64, 1, _PRINTABLE_PATTERN, _PRINTABLE),
    "explanations": _Rule("enableExplanations", 64, 1, ".*", re.compile(".*")),
    "inference_component": _Rule(
        "inferenceComponentName", 63, 0, "^[a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?$", _COMPONENT
    ),
    "session_id": _Rule(
        "sessionId",
        256,
        0,
        "^(NEW_SESSION)$|^[a-zA-Z0-9](-*[a-zA-Z0-9])*$",
        re.compile(r"NEW_SESSION|[a-zA-Z0-9](-*[a-zA-Z0-9])*"),
    ),
    "prefix_id": _Rule("prefixAwareId", 64, 1, _PRINTABLE_PATTERN, _PRINTABLE),
}
_STREAM_SESSION: Final = _Rule("sessionId", 256, 0, "^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", _NAME)
"""A stream may join a session and cannot open one."""

_SHARED_HEADERS: Final = {
    "content_type": "Content-Type",
    "custom_attributes": _CUSTOM_ATTRIBUTES,
    "variant": _H + "Target-Variant",
    "target_container": _H + "Target-Container-Hostname",
    "inference_id": _H + "Inference-Id",
    "inference_component": _H + "Inference-Component",
    "session_id": _SESSION,
    "prefix_id": _H + "Prefix-Aware-Id",
}
_WHOLE_HEADERS: Final = tuple(
    {
        **_SHARED_HEADERS,
        "accept": "Accept",
        "target_model": _H + "Target-Model",
        "explanations": _H + "Enable-Explanations",
    }.items()
)
_STREAM_HEADERS: Final = tuple({**_SHARED_HEADERS, "accept": _H + "Accept"}.items())


def parse(method: str, path: str, headers: Mapping[str, str]) -> Invocation:
    """The call at a raw path. `headers` answers to any case.

    Raises UnknownOperation, and Invalid for a name or header outside its limits.
    """
    endpoint, streaming = _route(method, path)
    given = {"endpoint": endpoint}
    for field, header in _STREAM_HEADERS if streaming else _WHOLE_HEADERS:
        value = headers.get(header)
        if value is not None:
            given[field] = value
    violations: list[str] = []
    for field, value in given.items():
        rule = _STREAM_SESSION if streaming and field == "session_id" else _RULES[field]
        violations += rule.violations(value)
    validate.refuse(violations)
    return Invocation(streaming=streaming, **given)


def _route(method: str, path: str) -> tuple[str, bool]:
    root, _, rest = path[1:].partition("/")
    endpoint, _, action = rest.partition("/")
    if root == "endpoints" and method == "POST" and endpoint:
        if action == "invocations":
            return unquote(endpoint), False
        if action == "invocations-response-stream":
            return unquote(endpoint), True
    where = f"{method} {path[:200]}"
    raise UnknownOperation(where, f"sagemaker-runtime has nothing at {where}", 404)


def replica_headers(invocation: Invocation) -> dict[str, str]:
    """The headers that the container gets; SageMaker strips all others."""
    wanted = {
        "Content-Type": invocation.content_type,
        "Accept": invocation.accept,
        _CUSTOM_ATTRIBUTES: invocation.custom_attributes,
        _H + "Inference-Id": invocation.inference_id,
        _SESSION: invocation.session_id,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def answer_headers(invocation: Invocation, variant: str, upstream: Mapping[str, str]) -> dict[str, str]:
    """The headers of a whole answer; `upstream` are the container's, answering to any case."""
    headers = {
        "Content-Type": upstream.get("Content-Type", "application/octet-stream"),
        VARIANT_HEADER: variant,
    }
    for name in (_CUSTOM_ATTRIBUTES, _CLOSED_SESSION):
        if name in upstream:
            headers[name] = upstream[name]
    if opened := _new_session(upstream, invocation.joins):
        headers[_NEW_SESSION] = opened
    return headers


def custom_attributes(upstream: Mapping[str, str]) -> str | None:
    """The CustomAttributes that a container answered with."""
    return upstream.get(_CUSTOM_ATTRIBUTES)


def opened_session(upstream: Mapping[str, str], joined: str | None = None) -> str | None:
    """The session that a container opened with this answer to a call that `joined` one, or none."""
    return _new_session(upstream, joined).partition(";")[0].strip() or None


def _new_session(upstream: Mapping[str, str], joined: str | None) -> str:
    """`<id>; Expires=<time>`. DJL Serving's handlers name it in the header that calls name theirs in.

    An answer that repeats its call's own session opened none.
    """
    if named := upstream.get(_NEW_SESSION, ""):
        return named
    echoed = upstream.get(_SESSION, "").strip()
    return "" if joined is not None or echoed == NEW_SESSION else echoed


def closed_session(upstream: Mapping[str, str]) -> str | None:
    """The session that a container closed with this answer."""
    return upstream.get(_CLOSED_SESSION, "").strip() or None


def stream_headers(invocation: Invocation, variant: str, upstream: Mapping[str, str]) -> dict[str, str]:
    """The headers of a streamed answer, whose own content type rides in a header of its own."""
    headers = {
        "Content-Type": eventstream.CONTENT_TYPE,
        _H + "Content-Type": upstream.get("Content-Type", "application/octet-stream"),
        VARIANT_HEADER: variant,
    }
    if _CUSTOM_ATTRIBUTES in upstream:
        headers[_CUSTOM_ATTRIBUTES] = upstream[_CUSTOM_ATTRIBUTES]
    return headers


def stream_failure(failure: StreamFailure) -> bytes:
    """The frame that ends a stream that broke; boto3 raises it as EventStreamError."""
    return eventstream.exception(failure.kind, failure.message, failure.code)
