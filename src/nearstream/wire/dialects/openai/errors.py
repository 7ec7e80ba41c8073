"""OpenAI's error objects: the one table from domain errors to statuses, types and codes.

`{"error": {"message", "type", "param", "code"}}`, as the OpenAI API reference describes it.
"""

from __future__ import annotations

import re

import msgspec

from nearstream.core.errors import (
    Conflict,
    GenerationFailed,
    Invalid,
    Misshapen,
    Missing,
    NearstreamError,
    NotReady,
    OptionInvalid,
    Overloaded,
    TooManyTokens,
    Unsupported,
    Unusable,
    WrongMedia,
)
from nearstream.wire.dialects.completions.fragments import DONE
from nearstream.wire.dialects.port import ErrorResponse
from nearstream.wire.framing import sse

_REQUEST, _SERVER = "invalid_request_error", "server_error"
# The first row whose class fits counts.
_TABLE: tuple[tuple[type[NearstreamError], int, str, str | None], ...] = (
    (TooManyTokens, 400, _REQUEST, "context_length_exceeded"),
    (Unsupported, 400, _REQUEST, "unsupported_parameter"),
    (WrongMedia, 415, _REQUEST, None),
    (Invalid, 400, _REQUEST, None),
    (Overloaded, 429, "rate_limit_error", "rate_limit_exceeded"),
    (NotReady, 503, _SERVER, "service_unavailable"),
    (GenerationFailed, 500, _SERVER, None),
    (Missing, 404, _REQUEST, "model_not_found"),
    (Conflict, 409, _REQUEST, None),
    (Unusable, 400, _REQUEST, None),
)
# What is HTTP's alone, by status.
_CODES = {
    401: "invalid_api_key",
    403: "forbidden",
    404: "unknown_url",
    405: "method_not_allowed",
    413: "request_too_large",
}
_SERVER_ERROR = 500
# msgspec names the field that does not fit: "… - at `$.messages[0].role`".
_FIELD = re.compile(r"`\$\.([^`]+)`")


class OpenAIErrors:
    """The error responses of a server of OpenAI's API, and the last events of its streams."""

    def error(self, error: NearstreamError) -> ErrorResponse:
        status, document = _document(error)
        return ErrorResponse(status, document)

    def plain(self, status: int, reason: str) -> ErrorResponse:
        kind = _SERVER if status >= _SERVER_ERROR else _REQUEST
        return ErrorResponse(status, _encoded(reason, kind, None, _CODES.get(status)))

    def missing(self, message: str) -> ErrorResponse:
        """For a thing that is named by its path."""
        return ErrorResponse(404, _encoded(message, _REQUEST, None, None))

    def body(self, error: NearstreamError) -> bytes:
        return _document(error)[1]

    def events(self, error: NearstreamError) -> bytes:
        return sse.frame(_document(error)[1]) + DONE


def _document(error: NearstreamError) -> tuple[int, bytes]:
    for kind, status, error_type, code in _TABLE:
        if isinstance(error, kind):
            return status, _encoded(str(error), error_type, _option(error), code)
    return _SERVER_ERROR, _encoded("internal error", _SERVER, None, None)


def _option(error: NearstreamError) -> str | None:
    """The field that is at fault, where it is one."""
    if isinstance(error, OptionInvalid | Unsupported):
        return error.option
    found = _FIELD.search(str(error)) if isinstance(error, Misshapen) else None
    return found[1] if found else None


def _encoded(message: str, error_type: str, param: str | None, code: str | None) -> bytes:
    error = {"message": message, "type": error_type, "param": param, "code": code}
    return msgspec.json.encode({"error": error})
