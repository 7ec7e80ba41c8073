"""CreateEndpointConfig, and what an endpoint configuration is described by."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from nearstream.core.endpoints import EndpointConfig, Model, ProductionVariant
from nearstream.core.errors import Invalid, ServiceError
from nearstream.core.ports import Clock
from nearstream.services.sagemaker.requests import (
    CreateEndpointConfig,
    EndpointConfigName,
    ServerlessConfig,
    VariantDefinition,
    document_of,
)
from nearstream.services.sagemaker.resources import Collection, Resource
from nearstream.services.service import Output

MAX_INSTANCES: Final = 64
"""Replicas that one variant may ask for."""

_MEMORY_SIZES: Final = (1024, 2048, 3072, 4096, 5120, 6144)
"""MemorySizeInMB of a serverless variant."""

ENDPOINT_CONFIG: Final = Resource(
    record=EndpointConfig,
    name="EndpointConfig",
    noun="endpoint configuration",
    arn_kind="endpoint-config",
    named=EndpointConfigName,
    describe=lambda config: msgspec.json.decode(config.document),
)


class EndpointConfigs:
    """Creates endpoint configurations."""

    def __init__(self, configs: Collection[EndpointConfig], models: Collection[Model], clock: Clock) -> None:
        self._configs = configs
        self._models = models
        self._clock = clock

    async def create(self, request: CreateEndpointConfig) -> Output:
        _refuse_unsupported(request)
        config = EndpointConfig(
            name=request.endpoint_config_name,
            arn=self._configs.arn(request.endpoint_config_name),
            created_at=self._clock(),
            variants=_variants(request.production_variants),
            document=document_of(request),
        )
        for variant in config.variants:
            if variant.model is not None:
                await self._models.get(variant.model)
        return await self._configs.add(config, request.tags)


def _refuse_unsupported(request: CreateEndpointConfig) -> None:
    unsupported = {
        "ShadowProductionVariants": request.shadow_production_variants,
        "AsyncInferenceConfig": request.async_inference_config,
        "ExplainerConfig": request.explainer_config,
        "CrossRegionTrafficConfig": request.cross_region_traffic_config,
    }
    for member, given in unsupported.items():
        if given:
            raise Invalid(f"{member} was given, which is not supported here; leave it out.")
    if (request.data_capture_config or {}).get("EnableCapture"):
        raise Invalid("DataCaptureConfig asks for capture, which is not supported here; leave it out.")


def _variants(definitions: list[VariantDefinition]) -> tuple[ProductionVariant, ...]:
    variants = tuple(_variant(definition) for definition in definitions)
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            raise Invalid(f"The variant name '{name}' was given more than once; each takes its own.")
    return variants


def _variant(definition: VariantDefinition) -> ProductionVariant:
    instances = 1 if definition.initial_instance_count is None else definition.initial_instance_count
    weight = definition.initial_variant_weight
    if not math.isfinite(weight):
        raise Invalid(f"InitialVariantWeight {weight} was given; a finite number of 0 or more is wanted.")
    if definition.serverless_config is not None:
        _check_serverless(definition.serverless_config)
    check_instances(instances, definition.instance_type)
    return ProductionVariant(
        name=definition.variant_name,
        model=definition.model_name,
        instances=instances,
        weight=weight,
        instance_type=definition.instance_type,
        startup_timeout_s=definition.container_startup_health_check_timeout_in_seconds,
    )


def _check_serverless(config: ServerlessConfig) -> None:
    if config.memory_size not in _MEMORY_SIZES:
        raise Invalid(
            f"Value '{config.memory_size}' at 'MemorySizeInMB' failed to satisfy constraint: Member must"
            f" satisfy enum value set: [{', '.join(map(str, _MEMORY_SIZES))}]"
        )


def check_instances(instances: int, instance_type: str | None) -> None:
    """Raise ServiceError ResourceLimitExceeded for more replicas than one variant may have."""
    if instances > MAX_INSTANCES:
        raise ServiceError(
            "ResourceLimitExceeded",
            f"The limit of '{instance_type} for endpoint usage' is {MAX_INSTANCES} Instances for a variant,"
            f" with a request of {instances} Instances.",
        )
