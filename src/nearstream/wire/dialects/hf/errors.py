"""TGI's error responses: the one table from domain errors to statuses and error types."""

from __future__ import annotations

import msgspec

from nearstream.core.errors import (
    BatchTooLarge,
    Conflict,
    GenerationFailed,
    Invalid,
    Malformed,
    Misshapen,
    Missing,
    NearstreamError,
    NotReady,
    Overloaded,
    TemplateFailed,
    ToolFailed,
    Unusable,
    WrongMedia,
)
from nearstream.wire.dialects.port import ErrorResponse

# The first row whose class fits counts; {} is the error's own text.
_TABLE: tuple[tuple[type[NearstreamError], int, str, str], ...] = (
    (TemplateFailed, 422, "template_error", "Template error: {}"),
    (ToolFailed, 422, "tool_error", "Tool error: {}"),
    (BatchTooLarge, 422, "batch size exceeded", "{}"),
    (WrongMedia, 415, "validation", "{}"),
    (Misshapen, 422, "validation", "Failed to deserialize the JSON body into the target type: {}"),
    (Malformed, 400, "validation", "Failed to parse the request body as JSON: {}"),
    (Invalid, 422, "validation", "Input validation error: {}"),
    (Overloaded, 429, "overloaded", "Model is overloaded"),
    (NotReady, 503, "healthcheck", "unhealthy"),
    (GenerationFailed, 424, "generation", "Request failed during generation: {}"),
    (Missing, 404, "not_found", "{}"),
    (Conflict, 409, "conflict", "{}"),
    (Unusable, 422, "unusable", "{}"),
)
# What is HTTP's alone, by status. text_generation's client raises by the type where it knows it, else by the
# status.
_TYPES = {401: "unauthorized", 403: "forbidden", 404: "not_found"}
# Sent before a stream, with a status; any other error of a stream is an event of it.
_BEFORE_THE_STREAM = (Malformed, TemplateFailed, ToolFailed, NotReady)


class TgiErrors:
    """The error responses of a TGI server."""

    def error(self, error: NearstreamError) -> ErrorResponse:
        status, error_type, message = _row(error)
        return _response(status, message, error_type)

    def plain(self, status: int, reason: str) -> ErrorResponse:
        return _response(status, reason, _TYPES.get(status, "validation"))


def error_message(error: NearstreamError) -> str:
    """The error's message alone."""
    return _row(error)[2]


def precedes_stream(error: NearstreamError) -> bool:
    """Whether an error is sent with a status even where a stream was asked for."""
    return isinstance(error, _BEFORE_THE_STREAM)


def _row(error: NearstreamError) -> tuple[int, str, str]:
    for kind, status, error_type, wording in _TABLE:
        if isinstance(error, kind):
            return status, error_type, wording.replace("{}", str(error))
    return 500, "incomplete_generation", "Incomplete generation"


def _response(status: int, message: str, error_type: str) -> ErrorResponse:
    return ErrorResponse(status, msgspec.json.encode({"error": message, "error_type": error_type}))
