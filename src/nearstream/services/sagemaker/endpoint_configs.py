"""CreateEndpointConfig, DescribeEndpointConfig, DeleteEndpointConfig and ListEndpointConfigs."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from nearstream.core.endpoints import EndpointConfig, Model, ProductionVariant
from nearstream.core.errors import Invalid
from nearstream.core.ports import Clock
from nearstream.services.sagemaker.listing import page
from nearstream.services.sagemaker.records import Records
from nearstream.wire.aws.errors import AwsError
from nearstream.wire.aws.service import Document

MAX_INSTANCES: Final = 64
"""Replicas that one variant may ask for."""

_UNSUPPORTED: Final = ("ShadowProductionVariants", "AsyncInferenceConfig", "ExplainerConfig")


class EndpointConfigs:
    """The operations on endpoint configurations."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def create(self, request: Document) -> Document:
        config = self._parse(request)
        for variant in config.variants:
            if variant.model is not None:
                await self._records.get(Model, variant.model)
        await self._records.add(config, request.get("Tags", []))
        return {"EndpointConfigArn": config.arn}

    async def describe(self, request: Document) -> Document:
        config = await self._records.get(EndpointConfig, request["EndpointConfigName"])
        return {
            **msgspec.json.decode(config.document),
            "EndpointConfigName": config.name,
            "EndpointConfigArn": config.arn,
            "CreationTime": config.created_at,
        }

    async def delete(self, request: Document) -> Document:
        await self._records.remove(EndpointConfig, request["EndpointConfigName"])
        return {}

    async def list(self, request: Document) -> Document:
        configs, token = page(await self._records.store.list(EndpointConfig), request)
        return {
            "EndpointConfigs": [
                {
                    "EndpointConfigName": config.name,
                    "EndpointConfigArn": config.arn,
                    "CreationTime": config.created_at,
                }
                for config in configs
            ],
            "NextToken": token,
        }

    def _parse(self, request: Document) -> EndpointConfig:
        _refuse_unsupported(request)
        name = request["EndpointConfigName"]
        definitions = [{"InitialVariantWeight": 1.0, **each} for each in request["ProductionVariants"]]
        document = {"EnableNetworkIsolation": False, **request, "ProductionVariants": definitions}
        document.pop("Tags", None)
        return EndpointConfig(
            name=name,
            arn=self._records.arn(EndpointConfig, name),
            created_at=self._clock(),
            variants=_variants(definitions),
            document=msgspec.json.encode(document).decode(),
        )


def _refuse_unsupported(request: Document) -> None:
    for member in _UNSUPPORTED:
        if request.get(member):
            raise Invalid(f"{member} was given, which is not supported here; leave it out.")
    if request.get("DataCaptureConfig", {}).get("EnableCapture"):
        raise Invalid("DataCaptureConfig asks for capture, which is not supported here; leave it out.")


def _variants(definitions: list[Document]) -> tuple[ProductionVariant, ...]:
    variants = tuple(_variant(definition) for definition in definitions)
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            raise Invalid(f"The variant name '{name}' was given more than once; each takes its own.")
    return variants


def _variant(definition: Document) -> ProductionVariant:
    instances = definition.get("InitialInstanceCount", 1)
    instance_type = definition.get("InstanceType")
    weight = definition["InitialVariantWeight"]
    if not math.isfinite(weight):
        raise Invalid(f"InitialVariantWeight {weight} was given; a finite number of 0 or more is wanted.")
    check_instances(instances, instance_type)
    return ProductionVariant(
        name=definition["VariantName"],
        model=definition.get("ModelName"),
        instances=instances,
        weight=weight,
        instance_type=instance_type,
        startup_timeout_s=definition.get("ContainerStartupHealthCheckTimeoutInSeconds"),
    )


def check_instances(instances: int, instance_type: str | None) -> None:
    """Raise AwsError ResourceLimitExceeded for more replicas than one variant may have."""
    if instances > MAX_INSTANCES:
        raise AwsError(
            "ResourceLimitExceeded",
            f"The limit of '{instance_type} for endpoint usage' is {MAX_INSTANCES} Instances for a variant,"
            f" with a request of {instances} Instances.",
        )
