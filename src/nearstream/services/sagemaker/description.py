"""An endpoint in the outputs of DescribeEndpoint and ListEndpoints."""

from __future__ import annotations

from typing import Final

import msgspec

from nearstream.core.endpoints import Endpoint, EndpointStatus, ProductionVariant
from nearstream.services.service import Output

_VARIANT_STATUS: Final = {
    EndpointStatus.CREATING: "Creating",
    EndpointStatus.UPDATING: "Updating",
    EndpointStatus.DELETING: "Deleting",
}
_NOTHING_RUNS: Final = frozenset(
    {EndpointStatus.CREATING, EndpointStatus.FAILED, EndpointStatus.OUT_OF_SERVICE}
)


def summary(endpoint: Endpoint) -> Output:
    """What an EndpointSummary has beyond name, ARN and creation time."""
    return {"EndpointStatus": endpoint.status, "LastModifiedTime": endpoint.modified_at}


def details(endpoint: Endpoint) -> Output:
    """What DescribeEndpoint has beyond name, ARN and creation time."""
    request = msgspec.json.decode(endpoint.document)
    return {
        **summary(endpoint),
        "EndpointConfigName": endpoint.config,
        "ProductionVariants": [_variant(variant, endpoint) for variant in endpoint.variants],
        "FailureReason": endpoint.failure_reason,
        "LastDeploymentConfig": request.get("DeploymentConfig"),
    }


def _variant(variant: ProductionVariant, record: Endpoint) -> Output:
    status = _VARIANT_STATUS.get(record.status)
    return {
        "VariantName": variant.name,
        "DeployedImages": _images(variant, record),
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": 0 if record.status in _NOTHING_RUNS else variant.instances,
        "DesiredInstanceCount": variant.instances,
        "VariantStatus": [{"Status": status, "StartTime": record.modified_at}] if status else None,
    }


def _images(variant: ProductionVariant, record: Endpoint) -> list[Output]:
    images = [
        container.image
        for model in record.models
        if model.name == variant.model
        for container in model.containers
    ]
    return [
        {"SpecifiedImage": uri, "ResolvedImage": uri, "ResolutionTime": record.created_at} for uri in images
    ]
