"""CreateEndpoint, UpdateEndpoint, UpdateEndpointWeightsAndCapacities and DeleteEndpoint.

These write down what should be; the reconcile loop makes it so and moves Creating and Updating to InService
or Failed, and takes away what is Deleting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from nearstream.core.endpoints import Endpoint, EndpointConfig, EndpointStatus, Model, ProductionVariant
from nearstream.core.errors import Conflict, Invalid
from nearstream.core.ports import Clock
from nearstream.fleet import images
from nearstream.services.sagemaker import description
from nearstream.services.sagemaker.endpoint_configs import check_instances
from nearstream.services.sagemaker.listing import Order
from nearstream.services.sagemaker.requests import (
    CreateEndpoint,
    DesiredWeightAndCapacity,
    EndpointName,
    UpdateEndpoint,
    UpdateEndpointWeightsAndCapacities,
    document_of,
)
from nearstream.services.sagemaker.resources import Collection, Resource
from nearstream.services.service import Output

ENDPOINT: Final = Resource(
    record=Endpoint,
    name="Endpoint",
    noun="endpoint",
    arn_kind="endpoint",
    named=EndpointName,
    describe=description.details,
    summary=description.summary,
    order=Order(lambda endpoint: endpoint.status, lambda endpoint: endpoint.modified_at),
)

_ATTEMPTS: Final = 5
_IN_PROGRESS: Final = frozenset(
    {
        EndpointStatus.CREATING,
        EndpointStatus.UPDATING,
        EndpointStatus.SYSTEM_UPDATING,
        EndpointStatus.ROLLING_BACK,
        EndpointStatus.DELETING,
    }
)
_DesiredOf = Callable[[Endpoint], Endpoint]


class Endpoints:
    """Changes what endpoints should be."""

    def __init__(
        self,
        endpoints: Collection[Endpoint],
        configs: Collection[EndpointConfig],
        models: Collection[Model],
        clock: Clock,
    ) -> None:
        self._endpoints = endpoints
        self._configs = configs
        self._models = models
        self._clock = clock

    async def create(self, request: CreateEndpoint) -> Output:
        now = self._clock()
        config = await self._configs.get(request.endpoint_config_name)
        models = await self._models_of(config)
        reason = _why_it_cannot_run(config, models)
        endpoint = Endpoint(
            name=request.endpoint_name,
            arn=self._endpoints.arn(request.endpoint_name),
            config=config.name,
            status=EndpointStatus.FAILED if reason else EndpointStatus.CREATING,
            created_at=now,
            modified_at=now,
            variants=config.variants,
            models=models,
            failure_reason=reason,
            document=document_of(request),
        )
        return await self._endpoints.add(endpoint, request.tags)

    async def update(self, request: UpdateEndpoint) -> Output:
        config = await self._configs.get(request.endpoint_config_name)
        models = await self._models_of(config)
        if reason := _why_it_cannot_run(config, models):
            raise Invalid(reason)

        def updated(old: Endpoint) -> Endpoint:
            _refuse_update(old)
            return replace(
                old,
                config=config.name,
                status=EndpointStatus.UPDATING,
                modified_at=self._clock(),
                variants=_retained(config.variants, old, request),
                models=models,
                failure_reason=None,
                document=document_of(request),
            )

        return {"EndpointArn": (await self._change(request.endpoint_name, updated)).arn}

    async def update_weights_and_capacities(self, request: UpdateEndpointWeightsAndCapacities) -> Output:
        desired = _by_variant(request.desired_weights_and_capacities)

        def updated(old: Endpoint) -> Endpoint:
            _refuse_update(old)
            _check_known(desired.keys(), old)
            variants = tuple(_resized(variant, desired.get(variant.name)) for variant in old.variants)
            status = EndpointStatus.UPDATING
            return replace(old, status=status, modified_at=self._clock(), variants=variants)

        return {"EndpointArn": (await self._change(request.endpoint_name, updated)).arn}

    async def delete(self, request: EndpointName) -> Output:
        def deleting(old: Endpoint) -> Endpoint:
            _refuse_in_progress(old)
            return replace(old, status=EndpointStatus.DELETING, modified_at=self._clock())

        await self._change(request.name, deleting)
        return {}

    async def _change(self, name: str, desired: _DesiredOf) -> Endpoint:
        """Read, change, compare and set; again if the reconcile loop wrote in between."""
        for _ in range(_ATTEMPTS):
            old = await self._endpoints.get(name)
            new = desired(old)
            try:
                await self._endpoints.store.replace(old, new)
            except Conflict:
                continue
            return new
        raise Conflict(f'Endpoint "{self._endpoints.arn(name)}" is being changed; try again.')

    async def _models_of(self, config: EndpointConfig) -> tuple[Model, ...]:
        names = {variant.model: None for variant in config.variants if variant.model is not None}
        return tuple([await self._models.get(name) for name in names])


def _refuse_in_progress(endpoint: Endpoint) -> None:
    if endpoint.status in _IN_PROGRESS:
        raise Conflict(f'Cannot update in-progress endpoint "{endpoint.arn}".')


def _refuse_update(endpoint: Endpoint) -> None:
    _refuse_in_progress(endpoint)
    if endpoint.status == EndpointStatus.FAILED:
        raise Conflict(f'Cannot update endpoint "{endpoint.arn}" in status Failed; delete it instead.')


def _by_variant(desired: list[DesiredWeightAndCapacity]) -> dict[str, DesiredWeightAndCapacity]:
    by_variant: dict[str, DesiredWeightAndCapacity] = {}
    for each in desired:
        if each.serverless_update_config is not None:
            raise Invalid("ServerlessUpdateConfig was given, which is not supported here; leave it out.")
        if each.variant_name in by_variant:
            raise Invalid(f'The variant name "{each.variant_name}" was non-unique within the request.')
        by_variant[each.variant_name] = each
    return by_variant


def _check_known(names: Iterable[str], endpoint: Endpoint) -> None:
    known = {variant.name for variant in endpoint.variants}
    if unknown := [name for name in names if name not in known]:
        raise Invalid(
            f'The variant name(s) "{", ".join(unknown)}" is/are not present within endpoint configuration'
            f' "{endpoint.config}".'
        )


def _resized(variant: ProductionVariant, desired: DesiredWeightAndCapacity | None) -> ProductionVariant:
    if desired is None:
        return variant
    count, weight = desired.desired_instance_count, desired.desired_weight
    instances = variant.instances if count is None else count
    weight = variant.weight if weight is None else weight
    check_instances(instances, variant.instance_type)
    if instances < 1 or not math.isfinite(weight):
        raise Invalid(f"{instances} instances of weight {weight} were given; a variant keeps at least one.")
    return replace(variant, instances=instances, weight=weight)


def _retained(
    variants: tuple[ProductionVariant, ...], old: Endpoint, request: UpdateEndpoint
) -> tuple[ProductionVariant, ...]:
    """The new variants, with the running ones' counts and weights where the request keeps them."""
    if not request.retain_all_variant_properties:
        return variants
    excluded = {each.variant_property_type for each in request.exclude_retained_variant_properties}
    running = {variant.name: variant for variant in old.variants}
    kept = []
    for variant in variants:
        before = running.get(variant.name, variant)
        instances = variant.instances if "DesiredInstanceCount" in excluded else before.instances
        weight = variant.weight if "DesiredWeight" in excluded else before.weight
        kept.append(replace(variant, instances=instances, weight=weight))
    return tuple(kept)


def _why_it_cannot_run(config: EndpointConfig, models: tuple[Model, ...]) -> str | None:
    """One sentence on why these models cannot run here, or None."""
    for variant in config.variants:
        if variant.model is None:
            return f"The variant {variant.name} names no model; inference components are not supported here."
    for model in models:
        if len(model.containers) != 1:
            return f"The model {model.name} has {len(model.containers)} containers; one is supported here."
        uri = model.containers[0].image
        if images.parse(uri).persona == "own":
            return (
                f"The image {uri} of the model {model.name} is neither Hugging Face's TGI nor AWS's LMI"
                " (djl-inference); containers of your own are not supported here."
            )
    return None
