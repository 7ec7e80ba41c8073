"""CreateModel, DescribeModel, DeleteModel and ListModels."""

from __future__ import annotations

import msgspec

from nearstream.core.endpoints import Container, Model
from nearstream.core.errors import Invalid
from nearstream.core.ports import Clock
from nearstream.services.sagemaker.listing import page
from nearstream.services.sagemaker.records import Records
from nearstream.wire.aws.service import Document


class Models:
    """The operations on models."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def create(self, request: Document) -> Document:
        model = self._parse(request)
        await self._records.add(model, request.get("Tags", []))
        return {"ModelArn": model.arn}

    async def describe(self, request: Document) -> Document:
        model = await self._records.get(Model, request["ModelName"])
        return {
            **msgspec.json.decode(model.document),
            "ModelName": model.name,
            "ModelArn": model.arn,
            "CreationTime": model.created_at,
        }

    async def delete(self, request: Document) -> Document:
        await self._records.remove(Model, request["ModelName"])
        return {}

    async def list(self, request: Document) -> Document:
        models, token = page(await self._records.store.list(Model), request)
        return {
            "Models": [
                {"ModelName": model.name, "ModelArn": model.arn, "CreationTime": model.created_at}
                for model in models
            ],
            "NextToken": token,
        }

    def _parse(self, request: Document) -> Model:
        name = request["ModelName"]
        document = {"EnableNetworkIsolation": False, **request}
        document.pop("Tags", None)
        return Model(
            name=name,
            arn=self._records.arn(Model, name),
            created_at=self._clock(),
            containers=tuple(_container(definition) for definition in _definitions(request)),
            document=msgspec.json.encode(document).decode(),
        )


def _definitions(request: Document) -> list[Document]:
    primary, several = request.get("PrimaryContainer"), request.get("Containers", [])
    if primary is not None and several:
        raise Invalid("Both PrimaryContainer and Containers were given; a model takes one of them.")
    if primary is None and not several:
        raise Invalid("Neither PrimaryContainer nor Containers was given; a model takes one of them.")
    return [primary] if primary is not None else list(several)


def _container(definition: Document) -> Container:
    if "Image" not in definition:
        raise Invalid("A container without an Image was given; model packages are not supported here.")
    if definition.get("Mode") == "MultiModel":
        raise Invalid("Mode 'MultiModel' was given; only 'SingleModel' is supported here.")
    source = definition.get("ModelDataSource", {}).get("S3DataSource", {})
    return Container(
        image=definition["Image"],
        environment=tuple(definition.get("Environment", {}).items()),
        model_data_url=definition.get("ModelDataUrl") or source.get("S3Uri") or None,
        hostname=definition.get("ContainerHostname"),
        document=msgspec.json.encode(definition).decode(),
    )
