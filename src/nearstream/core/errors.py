"""The errors of the domain, one tree; each dialect and service maps them to its own codes in one table.

NearstreamError
├── Invalid            the request cannot be honoured as written; the client should change it
│   ├── Malformed      the body is not JSON
│   │   ├── Misshapen  the body is JSON, but not of the shape that this route takes
│   │   └── WrongMedia the body is said to be something else than JSON
│   ├── OptionInvalid  one option of the body breaks a rule
│   │   └── TooManyTokens  prompt and answer do not fit the model's context
│   ├── BatchTooLarge  more prompts in one call than the server takes
│   ├── Unsupported    a legal option that the running engine cannot do
│   ├── TemplateFailed the chat template refused the conversation
│   └── ToolFailed     the tools cannot be used as asked, or were not used as told
├── Overloaded         no room now; the same request may succeed later
├── NotReady           still loading, or being restarted
├── GenerationFailed   the engine broke while it worked on this request
│   ├── EngineDied     its process ended
│   └── HandlerFailed  a user's handler raised, ended its process or ran past its time
├── Missing            a named thing does not exist
├── Conflict           a named thing exists already, or is busy
├── ServiceError       an error of an AWS operation that its API names
├── Unusable           a model, a file, a folder or a port on this machine cannot be used
│   └── Unfit          what was deployed cannot run as it is, however often it is tried
├── CallFailed         the service that a client called answered with an error
│   └── StreamFailed   a streamed answer ended with an error, or was cut off; it has the text so far
├── TimedOut           a time limit of a client's call passed; it names which
└── Unreachable        nothing answers at the address that a client called

`nearstream` exports all of them. `AwsError` (wire.aws.errors) is a ServiceError with its HTTP status; other
exceptions of this package never leave the room that raises them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Limit = Literal["connect", "first_byte", "between_tokens", "total"]
"""The time limits of a client's call."""


class NearstreamError(Exception):
    """All that nearstream raises on purpose. Its text is fit for a client: what was wanted, what came."""


class Invalid(NearstreamError):
    """The request cannot be honoured as written."""


class Malformed(Invalid):
    """The body is not JSON."""


class Misshapen(Malformed):
    """The body is JSON, but not of the shape that this route takes."""


class WrongMedia(Malformed):
    """The body is said to be something else than JSON."""


class OptionInvalid(Invalid):
    """One option of the body breaks a rule."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


class TooManyTokens(OptionInvalid):
    """Prompt and answer do not fit the model's context."""


class BatchTooLarge(Invalid):
    """More prompts in one call than the server takes."""


class Unsupported(Invalid):
    """A legal option that the running engine cannot do."""

    def __init__(self, option: str, engine: str, hint: str = "") -> None:
        super().__init__(
            f"`{option}` is not supported by the {engine} engine" + (f": {hint}" if hint else "")
        )
        self.option = option
        self.engine = engine
        self.hint = hint


class TemplateFailed(Invalid):
    """The chat template refused the conversation, or there is none."""


class ToolFailed(Invalid):
    """The tools of a conversation cannot be used as asked, or the model did not use them as told."""


class Overloaded(NearstreamError):
    """No room for another request now."""


class NotReady(NearstreamError):
    """Still loading, or being restarted."""


class GenerationFailed(NearstreamError):
    """The engine broke while it worked on this request."""


class EngineDied(GenerationFailed):
    """The engine's process ended; it is being restarted."""


class HandlerFailed(GenerationFailed):
    """A user's handler raised amid its answer, ended its process, or ran past its time."""


class Missing(NearstreamError):
    """A named thing does not exist."""


class Conflict(NearstreamError):
    """A named thing exists already, or is busy with something else."""


class ServiceError(NearstreamError):
    """An error that an AWS API names: `code`, the text and, for some codes, more `fields`."""

    def __init__(self, code: str, message: str, fields: Mapping[str, str | int] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields: Mapping[str, str | int] = fields or {}


class Unusable(NearstreamError):
    """A model, a file, a folder or a port on this machine cannot be used."""


class Unfit(Unusable):
    """What was deployed cannot run as it is, however often it is tried: it has to be deployed anew."""


class CallFailed(NearstreamError):
    """The service that a client called answered with an error.

    `code` is the service's own (`ModelError`, `ThrottlingException`, `validation`, or the HTTP status where
    it names none), `message` its text, `status` the HTTP status.
    """

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.status = status


class StreamFailed(CallFailed):
    """A streamed answer ended with an error, or was cut off. `text` is what came before it."""

    text: str = ""


class TimedOut(NearstreamError):
    """A time limit of a client's call passed: `limit` names which. `text` is what came before it."""

    text: str = ""

    def __init__(self, limit: Limit, limit_s: float) -> None:
        super().__init__(f"{_LATE[limit]} within {limit_s:g} s (the time limit {limit}_s)")
        self.limit = limit
        self.limit_s = limit_s


class Unreachable(NearstreamError):
    """Nothing answers at the address that a client called."""


_LATE: dict[Limit, str] = {
    "connect": "no connection was made",
    "first_byte": "no byte of the answer came",
    "between_tokens": "nothing more of the answer came",
    "total": "the answer was not complete",
}
