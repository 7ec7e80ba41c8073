"""What differs between servers that write OpenAI's objects; the defaults are OpenAI's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import FinishReason

OPENAI_REASONS: Mapping[FinishReason, bytes] = {"length": b'"length"', "eos": b'"stop"', "stop": b'"stop"'}


class CompletionErrors(Protocol):
    """How a completion that fails ends."""

    def body(self, error: NearstreamError) -> bytes:
        """The body of an error response."""
        ...

    def events(self, error: NearstreamError) -> bytes:
        """The last events of a stream."""
        ...


@dataclass(frozen=True, slots=True)
class Style:
    """How one family of servers writes completions."""

    errors: CompletionErrors
    reasons: Mapping[FinishReason, bytes] = field(default_factory=lambda: OPENAI_REASONS)
    """The `finish_reason` of each end, as JSON."""
    trims_stops: bool = True
    """The text ends before a stop string, and tokens without text are not sent."""
    role_once: bool = True
    """Only the first delta of a choice names the role."""
    null_usage_in_chat: bool = False
    """Every chunk of a chat has `"usage": null`, not only where usage was asked for."""
    token_bytes: bool = True
    """Log-probabilities of a chat list each token's bytes."""
    tools_exclude_grammar: bool = False
    """A `response_format` beside `tools` is an error, also where the list of tools is empty."""
    null_descriptions: bool = False
    """A tool call in a whole answer has `"description": null`, and no `content` beside it."""
