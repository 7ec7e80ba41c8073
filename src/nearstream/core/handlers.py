"""A user's own handler as a seam: what a call gives it, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HandlerInput:
    """One call. `content` as DJL Serving has it: the body under the key "data", then the query's parameters.

    `properties` are the request's headers. `function`: which of the module's functions; "" is the handler.
    """

    content: tuple[tuple[str, bytes], ...]
    properties: Mapping[str, str]
    function: str = ""


@dataclass(frozen=True, slots=True)
class HandlerHead:
    """What a handler says before its body: an HTTP status, its phrase, and headers (Content-Type)."""

    code: int
    message: str
    properties: Mapping[str, str]


class Handler(Protocol):
    """Calls a user's code."""

    def invoke(self, given: HandlerInput) -> AsyncGenerator[HandlerHead | bytes, None]:
        """One head, then the body's chunks as they come, none of them empty. Closing it ends the call.

        A handler that raises before its first chunk answers with a head of 424 and a JSON body. Raises
        Overloaded where too many calls wait, NotReady while no worker can be started, and HandlerFailed, also
        after the first chunk, when the handler broke, ended its process or ran past its time.
        """
        ...

    async def healthy(self) -> bool:
        """Whether a call made now would be served."""
        ...
