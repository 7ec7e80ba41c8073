"""AddTags, ListTags and DeleteTags on models, configurations and endpoints."""

from __future__ import annotations

from typing import Final

from nearstream.core.errors import Invalid, Missing
from nearstream.services.sagemaker.records import KINDS, Records
from nearstream.wire.aws.service import Document

MAX_TAGS: Final = 50


class Tags:
    """The operations on tags."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def add(self, request: Document) -> Document:
        arn = await self._known(request["ResourceArn"])
        tags = await self._records.store.tags(arn) | {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        if len(tags) > MAX_TAGS:
            raise Invalid(f"{len(tags)} tags would be on {arn}; {MAX_TAGS} is the most.")
        await self._records.store.set_tags(arn, tags)
        return _output(tags)

    async def list(self, request: Document) -> Document:
        return _output(await self._records.store.tags(await self._known(request["ResourceArn"])))

    async def delete(self, request: Document) -> Document:
        arn = await self._known(request["ResourceArn"])
        gone = set(request["TagKeys"])
        tags = await self._records.store.tags(arn)
        await self._records.store.set_tags(arn, {key: tags[key] for key in tags if key not in gone})
        return {}

    async def _known(self, arn: str) -> str:
        for kind in KINDS:
            if any(record.arn == arn for record in await self._records.store.list(kind)):
                return arn
        raise Missing(f'Could not find resource "{arn}".')


def _output(tags: dict[str, str]) -> Document:
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
