"""An endpoint as DescribeEndpoint and ListEndpoints tell it."""

from __future__ import annotations

from typing import Final

import msgspec

from nearstream.core.endpoints import Endpoint, EndpointStatus, ProductionVariant
from nearstream.wire.aws.service import Document

_VARIANT_STATUS: Final = {
    EndpointStatus.CREATING: "Creating",
    EndpointStatus.UPDATING: "Updating",
    EndpointStatus.DELETING: "Deleting",
}
_NOTHING_RUNS: Final = frozenset(
    {EndpointStatus.CREATING, EndpointStatus.FAILED, EndpointStatus.OUT_OF_SERVICE}
)


def summary(endpoint: Endpoint) -> Document:
    """An EndpointSummary."""
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created_at,
        "LastModifiedTime": endpoint.modified_at,
    }


def endpoint(record: Endpoint) -> Document:
    """DescribeEndpoint's output."""
    request = msgspec.json.decode(record.document)
    return {
        **summary(record),
        "EndpointConfigName": record.config,
        "ProductionVariants": [_variant(variant, record) for variant in record.variants],
        "FailureReason": record.failure_reason,
        "LastDeploymentConfig": request.get("DeploymentConfig"),
    }


def _variant(variant: ProductionVariant, record: Endpoint) -> Document:
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


def _images(variant: ProductionVariant, record: Endpoint) -> list[Document]:
    images = [
        container.image
        for model in record.models
        if model.name == variant.model
        for container in model.containers
    ]
    return [
        {"SpecifiedImage": uri, "ResolvedImage": uri, "ResolutionTime": record.created_at} for uri in images
    ]
