"""TGI's errors for bodies that it cannot read, to the letter: plain text, as its web framework writes them.

axum 0.7: JsonRejection, BytesRejection; a path or a method that is not there is answered with nothing.
Every other error is JSON, as in `hf.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from nearstream.core.errors import Malformed, NearstreamError
from nearstream.core.ports import GenerationCall
from nearstream.wire.dialects.hf import errors
from nearstream.wire.dialects.port import ErrorResponse, ParsedBody

TEXT = "text/plain; charset=utf-8"
_UNREADABLE = "Failed to buffer the request body: "
_TOO_LARGE = "length limit exceeded"


class PlainTextErrors:
    """The error responses of a server that keeps to TGI's own form."""

    def error(self, error: NearstreamError) -> ErrorResponse:
        response = errors.TgiErrors().error(error)
        if not isinstance(error, Malformed):
            return response
        return ErrorResponse(response.status, errors.error_message(error).encode(), TEXT)

    def plain(self, status: int, reason: str) -> ErrorResponse:
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return ErrorResponse(status, f"{_UNREADABLE}{_TOO_LARGE}".encode(), TEXT)
        if status == HTTPStatus.BAD_REQUEST:
            return ErrorResponse(status, f"{_UNREADABLE}{reason}".encode(), TEXT)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):  # our own; TGI has no such errors
            return errors.TgiErrors().plain(status, reason)
        return ErrorResponse(status, b"", TEXT)


@dataclass(frozen=True, slots=True)
class PlainTextBody:
    """A call whose body turns out later not to fit."""

    body: ParsedBody
    errors: PlainTextErrors

    def call(self) -> GenerationCall:
        return self.body.call()

    def error(self, error: NearstreamError) -> ErrorResponse:
        return (self.errors if isinstance(error, Malformed) else self.body).error(error)
