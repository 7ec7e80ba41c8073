"""What models, endpoint configurations and endpoints share: names, ARNs, Describe, List, Delete, errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from nearstream.core.accounts import Account, Kind
from nearstream.core.endpoints import Record
from nearstream.core.errors import Conflict, Missing
from nearstream.fleet.records import Records
from nearstream.services.sagemaker.listing import Order, page
from nearstream.services.sagemaker.requests import ListRequest, Tag
from nearstream.services.service import Operation, Output

R = TypeVar("R", bound=Record)


class Named(Protocol):
    """The input of an operation on one resource."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Resource(Generic[R]):
    """One kind of resource, described once.

    `name` is its part of operations and members: CreateModel, ModelName, ModelArn, Models. `noun` is what
    messages call it. `named` is the input of Describe and Delete. `describe` and `summary` give what these
    outputs have beyond name, ARN and creation time.
    """

    record: type[R]
    name: str
    noun: str
    arn_kind: Kind
    named: type[Any]
    describe: Callable[[R], Output]
    summary: Callable[[R], Output] = lambda _: {}
    order: Order[R] = field(default_factory=Order)


class Collection(Generic[R]):
    """All resources of one kind that an account has."""

    def __init__(self, resource: Resource[R], store: Records, account: Account) -> None:
        self.store = store
        self._resource = resource
        self._account = account

    def arn(self, name: str) -> str:
        return self._account.arn(self._resource.arn_kind, name)

    async def get(self, name: str) -> R:
        """Raises Missing: Could not find …"""
        try:
            return await self.store.get(self._resource.record, name)
        except Missing:
            raise self._missing(name) from None

    async def add(self, record: R, tags: Sequence[Tag]) -> Output:
        """Create's output. Raises Conflict, also for a name that differs only in case."""
        taken = Conflict(f'Cannot create already existing {self._resource.noun} "{record.arn}".')
        if any(other.arn == record.arn for other in await self.store.list(self._resource.record)):
            raise taken
        try:
            await self.store.create(record)
        except Conflict:
            raise taken from None
        await self.store.set_tags(record.arn, {tag.key: tag.value for tag in tags})
        return {f"{self._resource.name}Arn": record.arn}

    async def has(self, arn: str) -> bool:
        return any(record.arn == arn for record in await self.store.list(self._resource.record))

    def operations(self) -> Mapping[str, Operation[Any]]:
        """Describe, Delete and List."""
        name, named = self._resource.name, self._resource.named
        return {
            f"Describe{name}": Operation(named, self._describe),
            f"Delete{name}": Operation(named, self._delete),
            f"List{name}s": Operation(ListRequest, self._list),
        }

    async def _describe(self, request: Named) -> Output:
        record = await self.get(request.name)
        return {**self._resource.describe(record), **self._identity(record)}

    async def _delete(self, request: Named) -> Output:
        try:
            await self.store.delete(self._resource.record, request.name)
        except Missing:
            raise self._missing(request.name) from None
        return {}

    async def _list(self, request: ListRequest) -> Output:
        records, token = page(await self.store.list(self._resource.record), request, self._resource.order)
        return {
            f"{self._resource.name}s": [
                {**self._identity(record), **self._resource.summary(record)} for record in records
            ],
            "NextToken": token,
        }

    def _identity(self, record: R) -> Output:
        name = self._resource.name
        return {f"{name}Name": record.name, f"{name}Arn": record.arn, "CreationTime": record.created_at}

    def _missing(self, name: str) -> Missing:
        return Missing(f'Could not find {self._resource.noun} "{self.arn(name)}".')
