"""AddTags, ListTags and DeleteTags on models, configurations and endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nearstream.core.errors import Invalid, Missing
from nearstream.fleet.records import Records
from nearstream.services.sagemaker.requests import AddTags, DeleteTags, ListTags
from nearstream.services.sagemaker.resources import Collection
from nearstream.services.service import Operation, Output

MAX_TAGS: Final = 50


class Tags:
    """The tags of every resource that one of `collections` has."""

    def __init__(self, store: Records, collections: Sequence[Collection[Any]]) -> None:
        self._store = store
        self._collections = collections

    def operations(self) -> Mapping[str, Operation[Any]]:
        return {
            "AddTags": Operation(AddTags, self._add),
            "ListTags": Operation(ListTags, self._list),
            "DeleteTags": Operation(DeleteTags, self._delete),
        }

    async def _add(self, request: AddTags) -> Output:
        arn = await self._known(request.resource_arn)
        tags = await self._store.tags(arn) | {tag.key: tag.value for tag in request.tags}
        if len(tags) > MAX_TAGS:
            raise Invalid(f"{len(tags)} tags would be on {arn}; {MAX_TAGS} is the most.")
        await self._store.set_tags(arn, tags)
        return _output(tags)

    async def _list(self, request: ListTags) -> Output:
        return _output(await self._store.tags(await self._known(request.resource_arn)))

    async def _delete(self, request: DeleteTags) -> Output:
        arn = await self._known(request.resource_arn)
        gone = set(request.tag_keys)
        tags = await self._store.tags(arn)
        await self._store.set_tags(arn, {key: tags[key] for key in tags if key not in gone})
        return {}

    async def _known(self, arn: str) -> str:
        for collection in self._collections:
            if await collection.has(arn):
                return arn
        raise Missing(f'Could not find resource "{arn}".')


def _output(tags: Mapping[str, str]) -> Output:
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
