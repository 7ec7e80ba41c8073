"""The operations on endpoints: create, describe, update, resize, delete and list.

These write down what should be; the reconcile loop makes it so and moves Creating and Updating to InService
or Failed, and takes away what is Deleting.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import msgspec

from nearstream.core.endpoints import Endpoint, EndpointConfig, EndpointStatus, Model, ProductionVariant
from nearstream.core.errors import Conflict, Invalid
from nearstream.core.ports import Clock
from nearstream.services.sagemaker import description
from nearstream.services.sagemaker.endpoint_configs import check_instances
from nearstream.services.sagemaker.listing import page
from nearstream.services.sagemaker.records import Records
from nearstream.wire.aws import image
from nearstream.wire.aws.service import Document

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
    """The operations on endpoints."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def create(self, request: Document) -> Document:
        name, now = request["EndpointName"], self._clock()
        config = await self._records.get(EndpointConfig, request["EndpointConfigName"])
        models = await self._models(config)
        reason = _why_it_cannot_run(config, models)
        endpoint = Endpoint(
            name=name,
            arn=self._records.arn(Endpoint, name),
            config=config.name,
            status=EndpointStatus.FAILED if reason else EndpointStatus.CREATING,
            created_at=now,
            modified_at=now,
            variants=config.variants,
            models=models,
            failure_reason=reason,
            document=_document(request),
        )
        await self._records.add(endpoint, request.get("Tags", []))
        return {"EndpointArn": endpoint.arn}

    async def describe(self, request: Document) -> Document:
        return description.endpoint(await self._records.get(Endpoint, request["EndpointName"]))

    async def update(self, request: Document) -> Document:
        config = await self._records.get(EndpointConfig, request["EndpointConfigName"])
        models = await self._models(config)
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
                document=_document(request),
            )

        return {"EndpointArn": (await self._change(request["EndpointName"], updated)).arn}

    async def update_weights_and_capacities(self, request: Document) -> Document:
        wanted = {each["VariantName"]: each for each in request["DesiredWeightsAndCapacities"]}

        def updated(old: Endpoint) -> Endpoint:
            _refuse_update(old)
            if unknown := wanted.keys() - {variant.name for variant in old.variants}:
                raise Invalid(f'The variant(s) {", ".join(sorted(unknown))} are not of endpoint "{old.arn}".')
            variants = tuple(_resized(variant, wanted.get(variant.name, {})) for variant in old.variants)
            status = EndpointStatus.UPDATING
            return replace(old, status=status, modified_at=self._clock(), variants=variants)

        return {"EndpointArn": (await self._change(request["EndpointName"], updated)).arn}

    async def delete(self, request: Document) -> Document:
        def deleting(old: Endpoint) -> Endpoint:
            _refuse_in_progress(old)
            return replace(old, status=EndpointStatus.DELETING, modified_at=self._clock())

        await self._change(request["EndpointName"], deleting)
        return {}

    async def list(self, request: Document) -> Document:
        endpoints, token = page(await self._records.store.list(Endpoint), request)
        return {"Endpoints": [description.summary(each) for each in endpoints], "NextToken": token}

    async def _change(self, name: str, desired: _DesiredOf) -> Endpoint:
        """Read, change, compare and set; again if the reconcile loop wrote in between."""
        for _ in range(_ATTEMPTS):
            old = await self._records.get(Endpoint, name)
            new = desired(old)
            try:
                await self._records.store.replace(old, new)
            except Conflict:
                continue
            return new
        raise Conflict(f'Endpoint "{self._records.arn(Endpoint, name)}" is being changed; try again.')

    async def _models(self, config: EndpointConfig) -> tuple[Model, ...]:
        names = {variant.model: None for variant in config.variants if variant.model is not None}
        return tuple([await self._records.get(Model, name) for name in names])


def _document(request: Document) -> str:
    return msgspec.json.encode({key: value for key, value in request.items() if key != "Tags"}).decode()


def _refuse_in_progress(endpoint: Endpoint) -> None:
    if endpoint.status in _IN_PROGRESS:
        raise Conflict(f'Cannot update in-progress endpoint "{endpoint.arn}".')


def _refuse_update(endpoint: Endpoint) -> None:
    _refuse_in_progress(endpoint)
    if endpoint.status == EndpointStatus.FAILED:
        raise Conflict(f'Cannot update endpoint "{endpoint.arn}" in status Failed; delete it instead.')


def _resized(variant: ProductionVariant, wanted: Document) -> ProductionVariant:
    instances = wanted.get("DesiredInstanceCount", variant.instances)
    weight = wanted.get("DesiredWeight", variant.weight)
    check_instances(instances, variant.instance_type)
    if instances < 1 or not math.isfinite(weight):
        raise Invalid(f"{instances} instances of weight {weight} were given; a variant keeps at least one.")
    return replace(variant, instances=instances, weight=weight)


def _retained(
    variants: tuple[ProductionVariant, ...], old: Endpoint, request: Document
) -> tuple[ProductionVariant, ...]:
    """The new variants, with the running ones' counts and weights where the request keeps them."""
    if not request.get("RetainAllVariantProperties"):
        return variants
    excluded = {each["VariantPropertyType"] for each in request.get("ExcludeRetainedVariantProperties", [])}
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
        if image.parse(uri).persona == "own":
            return (
                f"The image {uri} of the model {model.name} is neither Hugging Face's TGI nor AWS's LMI"
                " (djl-inference); containers of your own are not supported here."
            )
    return None
