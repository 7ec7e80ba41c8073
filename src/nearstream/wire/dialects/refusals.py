"""The one table from domain errors to TGI's statuses and error types."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from nearstream.core.errors import (
    BatchTooLarge,
    GenerationFailed,
    Invalid,
    Malformed,
    Misshapen,
    Missing,
    NearstreamError,
    NotReady,
    Overloaded,
    TemplateFailed,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as TGI says it."""

    status: int
    error: str
    error_type: str

    @property
    def body(self) -> bytes:
        return msgspec.json.encode({"error": self.error, "error_type": self.error_type})


# The first row whose class fits counts; {} is the error's own text.
_TABLE: tuple[tuple[type[NearstreamError], int, str, str], ...] = (
    (TemplateFailed, 422, "template_error", "Template error: {}"),
    (BatchTooLarge, 422, "batch size exceeded", "{}"),
    (Misshapen, 422, "validation", "Failed to deserialize the JSON body into the target type: {}"),
    (Malformed, 400, "validation", "Failed to parse the request body as JSON: {}"),
    (Invalid, 422, "validation", "Input validation error: {}"),
    (Overloaded, 429, "overloaded", "Model is overloaded"),
    (NotReady, 503, "healthcheck", "unhealthy"),
    (GenerationFailed, 424, "generation", "Request failed during generation: {}"),
    (Missing, 404, "not_found", "{}"),
)
INCOMPLETE = Refusal(500, "Incomplete generation", "incomplete_generation")


def refusal(error: NearstreamError) -> Refusal:
    for kind, status, error_type, wording in _TABLE:
        if isinstance(error, kind):
            return Refusal(status, wording.replace("{}", str(error)), error_type)
    return INCOMPLETE
