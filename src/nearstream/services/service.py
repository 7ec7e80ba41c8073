"""An AWS service as data: its name in botocore's models, its operations, its error codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec

from nearstream.core.errors import NearstreamError

T = TypeVar("T")

KEPT: Final = "kept"
REFUSED: Final = "refused"
Kept = Annotated[T, msgspec.Meta(extra={"effect": KEPT})]
"""A member that is checked, that Describe tells again, and that changes nothing here."""

Refused = Annotated[T, msgspec.Meta(extra={"effect": REFUSED})]
"""A member whose use is refused by its name."""

Output = Mapping[str, Any]
"""An operation's output, keyed by the members of its shape; None is left out."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the signature proves."""

    access_key: str
    account: str
    arn: str


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One operation: the type that its input is read to, and what is done with it.

    `handle` raises domain errors, or ServiceError where the API names the error.
    """

    input: type[T]
    handle: Callable[[T], Awaitable[Output]]

    async def __call__(self, document: Mapping[str, Any], caller: Caller) -> Output:
        """`document`: an input that was checked against the operation's shape."""
        return await self.handle(msgspec.convert(document, type=self.input))


@dataclass(frozen=True, slots=True)
class CallerOperation(Generic[T]):
    """An operation whose output depends on who calls it."""

    input: type[T]
    handle: Callable[[T, Caller], Awaitable[Output]]

    async def __call__(self, document: Mapping[str, Any], caller: Caller) -> Output:
        """See Operation."""
        return await self.handle(msgspec.convert(document, type=self.input), caller)


@dataclass(frozen=True, slots=True)
class Service:
    """What the front door needs to serve an AWS service; all else is in botocore's model of that name.

    `relayed` are operations whose bodies the front door hands to a replica by itself. `refused` says, of
    operations that are not served, why not.
    """

    name: str
    operations: Mapping[str, Operation[Any] | CallerOperation[Any]]
    errors: Mapping[type[NearstreamError], str]
    relayed: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
