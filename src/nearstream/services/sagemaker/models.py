"""CreateModel, and what a model is described by."""

from __future__ import annotations

from typing import Final

import msgspec

from nearstream.core.endpoints import Container, Model
from nearstream.core.errors import Invalid
from nearstream.core.ports import Clock
from nearstream.services.sagemaker.requests import (
    ContainerDefinition,
    CreateModel,
    ModelName,
    document_of,
    json_of,
)
from nearstream.services.sagemaker.resources import Collection, Resource
from nearstream.services.service import Output

MODEL: Final = Resource(
    record=Model,
    name="Model",
    noun="model",
    arn_kind="model",
    named=ModelName,
    describe=lambda model: msgspec.json.decode(model.document),
)


class Models:
    """Creates models."""

    def __init__(self, models: Collection[Model], clock: Clock) -> None:
        self._models = models
        self._clock = clock

    async def create(self, request: CreateModel) -> Output:
        model = Model(
            name=request.model_name,
            arn=self._models.arn(request.model_name),
            created_at=self._clock(),
            containers=tuple(_container(definition) for definition in _definitions(request)),
            document=document_of(request),
        )
        return await self._models.add(model, request.tags)


def _definitions(request: CreateModel) -> list[ContainerDefinition]:
    primary, several = request.primary_container, request.containers or []
    if primary is not None and several:
        raise Invalid("Both PrimaryContainer and Containers were given; a model takes one of them.")
    if primary is None and not several:
        raise Invalid("Neither PrimaryContainer nor Containers was given; a model takes one of them.")
    return [primary] if primary is not None else several


def _container(definition: ContainerDefinition) -> Container:
    if definition.model_package_name is not None:
        raise Invalid("ModelPackageName was given, which is not supported here; name an Image.")
    if definition.image is None:
        raise Invalid("A container without an Image was given, which is not supported here; name an Image.")
    if definition.mode == "MultiModel":
        raise Invalid("Mode 'MultiModel' was given; only 'SingleModel' is supported here.")
    source = (definition.model_data_source or {}).get("S3DataSource", {})
    return Container(
        image=definition.image,
        environment=tuple((definition.environment or {}).items()),
        model_data_url=definition.model_data_url or source.get("S3Uri") or None,
        unpacked=bool(definition.model_data_url) or source.get("CompressionType") != "None",
        hostname=definition.container_hostname,
        document=json_of(definition),
    )
