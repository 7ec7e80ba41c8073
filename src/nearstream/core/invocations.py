"""One call of a model at an endpoint, and how an answer that has begun can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

NEW_SESSION: Final = "NEW_SESSION"
"""What a call sends as its session id to open a session."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """InvokeEndpoint or InvokeEndpointWithResponseStream, all but its body."""

    endpoint: str
    streaming: bool
    content_type: str | None = None
    accept: str | None = None
    custom_attributes: str | None = None
    variant: str | None = None
    inference_id: str | None = None
    session_id: str | None = None
    prefix_id: str | None = None
    target_model: str | None = None
    target_container: str | None = None
    inference_component: str | None = None
    explanations: str | None = None

    @property
    def joins(self) -> str | None:
        """The session that the call belongs to; None also for one that is to open a session."""
        return None if self.session_id == NEW_SESSION else self.session_id


@dataclass(frozen=True, slots=True)
class StreamFailure:
    """Why a stream ended after its first byte, as the client is told."""

    kind: Literal["ModelStreamError", "InternalStreamFailure"]
    message: str
    code: Literal["ModelInvocationTimeExceeded", "StreamBroken"] | None = None
