"""The store's records, with SageMaker's sentences for those that are missing or in the way."""

from __future__ import annotations

from typing import Final, TypeVar

from nearstream.core.endpoints import Endpoint, EndpointConfig, Model, Record
from nearstream.core.errors import Conflict, Missing
from nearstream.fleet.store import Store
from nearstream.wire.aws.arn import Account, Kind
from nearstream.wire.aws.service import Document

R = TypeVar("R", bound=Record)

_KINDS: Final[dict[type[object], tuple[Kind, str]]] = {
    Model: ("model", "model"),
    EndpointConfig: ("endpoint-config", "endpoint configuration"),
    Endpoint: ("endpoint", "endpoint"),
}
KINDS: Final[tuple[type[Record], ...]] = (Model, EndpointConfig, Endpoint)


class Records:
    """One account's models, configurations and endpoints."""

    def __init__(self, store: Store, account: Account) -> None:
        self.store = store
        self.account = account

    def arn(self, kind: type[R], name: str) -> str:
        return self.account.arn(_KINDS[kind][0], name)

    async def get(self, kind: type[R], name: str) -> R:
        """Raises Missing: Could not find …"""
        try:
            return await self.store.get(kind, name)
        except Missing:
            raise self._missing(kind, name) from None

    async def add(self, record: Record, tags: list[Document]) -> None:
        """Raises Conflict: Cannot create already existing …; names differing only in case are the same."""
        kind = type(record)
        taken = Conflict(f'Cannot create already existing {_KINDS[kind][1]} "{record.arn}".')
        if any(other.arn == record.arn for other in await self.store.list(kind)):
            raise taken
        try:
            await self.store.create(record)
        except Conflict:
            raise taken from None
        await self.store.set_tags(record.arn, {tag["Key"]: tag["Value"] for tag in tags})

    async def remove(self, kind: type[Record], name: str) -> None:
        """Raises Missing: Could not find …"""
        try:
            await self.store.delete(kind, name)
        except Missing:
            raise self._missing(kind, name) from None

    def _missing(self, kind: type[R], name: str) -> Missing:
        return Missing(f'Could not find {_KINDS[kind][1]} "{self.arn(kind, name)}".')
