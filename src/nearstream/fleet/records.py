"""Where the records of what should run are kept: models, configurations, endpoints and their tags."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol, TypeVar

from nearstream.core.endpoints import Endpoint, EndpointConfig, Model, Record
from nearstream.core.errors import Missing

R = TypeVar("R", bound=Record)

KINDS: Final[dict[type[object], str]] = {
    Model: "model",
    EndpointConfig: "endpoint configuration",
    Endpoint: "endpoint",
}
"""What messages call each kind of record."""


class Changes:
    """Notifies one listener that the records changed since it last looked, once for many changes."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Returns when something changed since the last `wait` returned, at once if it has already."""
        await self._event.wait()
        self._event.clear()


class Records(Protocol):
    """Records by kind and name, and the tags of what they describe."""

    async def create(self, record: Record) -> None:
        """Raises Conflict if this kind has a record of that name."""
        ...

    async def get(self, kind: type[R], name: str) -> R:
        """Raises Missing."""
        ...

    async def list(self, kind: type[R]) -> list[R]:
        """All of a kind, the oldest first."""
        ...

    async def replace(self, old: R, new: R) -> None:
        """Puts `new` in the place of `old`. Raises Conflict if `old` has changed, Missing if it is gone."""
        ...

    async def delete(self, kind: type[R], name: str) -> None:
        """Takes the record's tags with it. Raises Missing."""
        ...

    async def tags(self, arn: str) -> dict[str, str]:
        """Empty for an ARN that has none."""
        ...

    async def set_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """`tags` become all the tags of `arn`."""
        ...

    def changes(self) -> Changes:
        """A new listener; it is notified of every write until it is dropped."""
        ...


def missing(kind: type[object], name: str) -> Missing:
    return Missing(f'There is no {KINDS[kind]} "{name}".')
