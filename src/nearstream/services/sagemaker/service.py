"""SageMaker's control plane as the front door serves it: every operation by its name."""

from __future__ import annotations

from typing import Final

from nearstream.core.accounts import Account
from nearstream.core.errors import Conflict, Invalid, Missing, NearstreamError, Overloaded, Unusable
from nearstream.core.ports import Clock
from nearstream.fleet.records import Records
from nearstream.services.sagemaker.endpoint_configs import ENDPOINT_CONFIG, EndpointConfigs
from nearstream.services.sagemaker.endpoints import ENDPOINT, Endpoints
from nearstream.services.sagemaker.models import MODEL, Models
from nearstream.services.sagemaker.requests import (
    CreateEndpoint,
    CreateEndpointConfig,
    CreateModel,
    EndpointName,
    UpdateEndpoint,
    UpdateEndpointWeightsAndCapacities,
)
from nearstream.services.sagemaker.resources import Collection
from nearstream.services.sagemaker.tags import Tags
from nearstream.services.service import Operation, Service

ERRORS: Final = {
    Invalid: "ValidationException",
    Missing: "ValidationException",
    Conflict: "ValidationException",
    Unusable: "ValidationException",
    Overloaded: "ThrottlingException",
    NearstreamError: "InternalFailure",
}
"""SageMaker says ValidationException for nearly everything."""

_COMPONENTS: Final = "inference components are not supported; name the model in a variant."
REFUSED: Final = {
    "CreateInferenceComponent": _COMPONENTS,
    "DeleteInferenceComponent": _COMPONENTS,
    "DescribeInferenceComponent": _COMPONENTS,
    "ListInferenceComponents": _COMPONENTS,
    "UpdateInferenceComponent": _COMPONENTS,
    "UpdateInferenceComponentRuntimeConfig": _COMPONENTS,
}
"""Operations of hosting that are not served, and why not; training and the rest of SageMaker are AWS's."""


def service(store: Records, account: Account, clock: Clock) -> Service:
    """The control plane of `account` over `store`; `clock` gives seconds since the epoch."""
    models = Collection(MODEL, store, account)
    configs = Collection(ENDPOINT_CONFIG, store, account)
    endpoints = Collection(ENDPOINT, store, account)
    changes = Endpoints(endpoints, configs, models, clock)
    return Service(
        name="sagemaker",
        operations={
            **models.operations(),
            **configs.operations(),
            **endpoints.operations(),
            **Tags(store, (models, configs, endpoints)).operations(),
            "CreateModel": Operation(CreateModel, Models(models, clock).create),
            "CreateEndpointConfig": Operation(
                CreateEndpointConfig, EndpointConfigs(configs, models, clock).create
            ),
            "CreateEndpoint": Operation(CreateEndpoint, changes.create),
            "UpdateEndpoint": Operation(UpdateEndpoint, changes.update),
            "UpdateEndpointWeightsAndCapacities": Operation(
                UpdateEndpointWeightsAndCapacities, changes.update_weights_and_capacities
            ),
            "DeleteEndpoint": Operation(EndpointName, changes.delete),
        },
        errors=ERRORS,
        refused=REFUSED,
    )
