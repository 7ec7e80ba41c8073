"""How TGI says no: the one table from domain errors to its statuses and error types."""

from __future__ import annotations

from collections.abc import Mapping

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
    Unsupported,
    Unusable,
    WrongMedia,
)
from nearstream.wire.dialects.port import Refusal

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
# These come before a stream, with a status; every other refusal of a stream is told inside it.
_BEFORE_THE_STREAM = (Malformed, TemplateFailed, ToolFailed, NotReady)


def refusal(error: NearstreamError) -> Refusal:
    status, error_type, message = _row(error)
    return _said(status, message, error_type)


def plain(status: int, reason: str) -> Refusal:
    return _said(status, reason, "validation")


def told(error: NearstreamError) -> str:
    """The error's message alone."""
    return _row(error)[2]


def precedes_stream(error: NearstreamError) -> bool:
    """Whether an error is told by a status even where a stream was asked for."""
    return isinstance(error, _BEFORE_THE_STREAM)


def renamed(error: NearstreamError, names: Mapping[str, str]) -> NearstreamError:
    """An option that the engine lacks, by the name under which the caller asked for it."""
    if isinstance(error, Unsupported) and error.option in names:
        return Unsupported(names[error.option], error.engine, error.hint)
    return error


def _row(error: NearstreamError) -> tuple[int, str, str]:
    for kind, status, error_type, wording in _TABLE:
        if isinstance(error, kind):
            return status, error_type, wording.replace("{}", str(error))
    return 500, "incomplete_generation", "Incomplete generation"


def _said(status: int, message: str, error_type: str) -> Refusal:
    return Refusal(status, msgspec.json.encode({"error": message, "error_type": error_type}))
