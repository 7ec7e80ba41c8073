"""TGI's refusals of what it cannot read, to the letter: plain text, as its web framework words them.

axum 0.7: JsonRejection, BytesRejection; a path or a method that is not there is answered with nothing.
Every other refusal is JSON, as in `refusals`.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from nearstream.core.errors import Malformed, NearstreamError
from nearstream.core.ports import GenerationCall
from nearstream.wire.dialects import refusals
from nearstream.wire.dialects.port import Draft, Refusal

TEXT = "text/plain; charset=utf-8"
_UNREADABLE = "Failed to buffer the request body: "
_TOO_LARGE = "length limit exceeded"


class TextWording:
    """How a server says no that keeps to TGI's own form."""

    def refusal(self, error: NearstreamError) -> Refusal:
        said = refusals.refusal(error)
        if not isinstance(error, Malformed):
            return said
        return Refusal(said.status, refusals.told(error).encode(), TEXT)

    def plain(self, status: int, reason: str) -> Refusal:
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return Refusal(status, f"{_UNREADABLE}{_TOO_LARGE}".encode(), TEXT)
        if status == HTTPStatus.BAD_REQUEST:
            return Refusal(status, f"{_UNREADABLE}{reason}".encode(), TEXT)
        return Refusal(status, b"", TEXT)


@dataclass(frozen=True, slots=True)
class TextDraft:
    """A call whose body turns out later not to fit."""

    draft: Draft
    wording: TextWording

    def exchange(self) -> GenerationCall:
        return self.draft.exchange()

    def refusal(self, error: NearstreamError) -> Refusal:
        return (self.wording if isinstance(error, Malformed) else self.draft).refusal(error)
