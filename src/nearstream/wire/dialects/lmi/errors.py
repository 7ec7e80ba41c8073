"""The error responses of an LMI container: its server's, under DJL Serving's names, and its Python side's.

The server prints its JSON over several lines. The Python side answers 424 with what went wrong in words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus

from nearstream.core.errors import (
    Conflict,
    GenerationFailed,
    Invalid,
    Malformed,
    Missing,
    NearstreamError,
    NotReady,
    Overloaded,
)
from nearstream.wire.dialects.lmi.terms import LmiRelease
from nearstream.wire.dialects.port import ErrorResponse

FAILED = HTTPStatus.FAILED_DEPENDENCY
# The first row whose class fits counts; {} is the error's own text, {model} the model's name.
_TABLE: tuple[tuple[type[NearstreamError], int, str, str], ...] = (
    (Overloaded, 503, "WlmCapacityException", "Worker queue capacity exceeded for model: {model}"),
    (NotReady, 503, "WlmException", "Model is not ready: {model}"),
    (Missing, 404, "ModelNotFoundException", "{}"),
    (Conflict, 409, "ConflictStatusException", "{}"),
)
# What is HTTP's alone, by status.
_EXCEPTIONS = {
    400: "BadRequestException",
    401: "UnauthorizedException",
    403: "ForbiddenException",
    404: "ResourceNotFoundException",
    405: "MethodNotAllowedException",
    409: "ConflictStatusException",
    413: "RequestEntityTooLargeException",
    503: "ServiceUnavailableException",
    507: "InsufficientStorageException",
}
_INTERNAL = "InternalServerException"


@dataclass(frozen=True, slots=True)
class LmiErrors:
    """The error responses of a server of this release; `model` is the name that they quote."""

    release: LmiRelease = field(default_factory=LmiRelease)
    model: str = "model"

    def error(self, error: NearstreamError) -> ErrorResponse:
        """Any error, before the first byte of an answer."""
        if isinstance(error, Invalid | GenerationFailed):
            return ErrorResponse(FAILED, failure(error, self.release))
        for kind, status, exception, message in _TABLE:
            if isinstance(error, kind):
                text = message.format(error, model=self.model)
                return _response(status, exception, text)
        return _response(500, _INTERNAL, str(error))

    def plain(self, status: int, reason: str) -> ErrorResponse:
        """A failure that is HTTP's alone: no such path, a method that is not for it, a body too large."""
        return _response(status, _EXCEPTIONS.get(status, _INTERNAL), reason)


def failure(error: NearstreamError, release: LmiRelease) -> bytes:
    """What the Python side says of a failure, with no line break."""
    message, code = _message(error, release), int(FAILED)
    if release.generation == 1:
        return json.dumps({"code": code, "error": message}, ensure_ascii=False).encode()
    document = {"error": message, "code": code}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _message(error: NearstreamError, release: LmiRelease) -> str:
    if isinstance(error, Malformed) and release.by_body:
        return f"Input parsing failed: {error}"
    if isinstance(error, Malformed) and release.stream_key:
        return f"Input Parsing failed. Ensure that the request payload is valid. {error}"
    return str(error) or type(error).__name__


def _response(status: int, exception: str, message: str) -> ErrorResponse:
    document = {"code": status, "type": exception, "message": message}
    return ErrorResponse(status, json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n")
