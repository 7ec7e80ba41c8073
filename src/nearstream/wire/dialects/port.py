"""What every dialect gives the model server: parsed bodies and error responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from nearstream.core.errors import NearstreamError, Unsupported
from nearstream.core.ports import GenerationCall


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """A whole response to a call that gets no answer. Of a stream, `body` is its events and `status` 200."""

    status: int
    body: bytes
    content_type: str = "application/json"


class ParsedBody(Protocol):
    """A body of the right shape, before its rules are checked."""

    def call(self) -> GenerationCall:
        """Raises Invalid when a rule is broken, Unsupported where no engine could comply."""
        ...

    def error(self, error: NearstreamError) -> ErrorResponse:
        """The response to this call if it fails before the first byte of an answer."""
        ...


class ErrorDialect(Protocol):
    """The error responses of a server to calls whose body was not parsed."""

    def error(self, error: NearstreamError) -> ErrorResponse: ...

    def plain(self, status: int, reason: str) -> ErrorResponse:
        """A failure of HTTP alone: no such path, a body too large."""
        ...


def renamed(error: NearstreamError, names: Mapping[str, str]) -> NearstreamError:
    """An option that the engine lacks, by the name under which the caller asked for it."""
    if isinstance(error, Unsupported) and error.option in names:
        return Unsupported(names[error.option], error.engine, error.hint)
    return error
