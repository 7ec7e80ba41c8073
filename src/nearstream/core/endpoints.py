"""SageMaker's hosting records as values: models, endpoint configurations, endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EndpointStatus(StrEnum):
    """EndpointStatus of the SageMaker API."""

    OUT_OF_SERVICE = "OutOfService"
    CREATING = "Creating"
    UPDATING = "Updating"
    SYSTEM_UPDATING = "SystemUpdating"
    ROLLING_BACK = "RollingBack"
    IN_SERVICE = "InService"
    DELETING = "Deleting"
    FAILED = "Failed"
    UPDATE_ROLLBACK_FAILED = "UpdateRollbackFailed"


@dataclass(frozen=True, slots=True)
class Container:
    """One ContainerDefinition. `document` is the definition as the client sent it, JSON, for Describe."""

    image: str
    environment: tuple[tuple[str, str], ...] = ()
    model_data_url: str | None = None
    unpacked: bool = True
    """An archive at that URL is unpacked; False: its CompressionType is None, it stays as it is."""
    hostname: str | None = None
    document: str = "{}"


@dataclass(frozen=True, slots=True)
class Model:
    """CreateModel's record. `document`: the whole request as JSON, so that Describe answers what was sent."""

    name: str
    arn: str
    created_at: float
    containers: tuple[Container, ...]
    document: str = "{}"


@dataclass(frozen=True, slots=True)
class ProductionVariant:
    """One ProductionVariant. Weights are relative; `instances` is the number of replicas wanted."""

    name: str
    model: str | None
    instances: int = 1
    weight: float = 1.0
    instance_type: str | None = None
    startup_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """CreateEndpointConfig's record."""

    name: str
    arn: str
    created_at: float
    variants: tuple[ProductionVariant, ...]
    document: str = "{}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """CreateEndpoint's record. `config` is what is in force; `variants` and `models` are its copy.

    The copy is what runs: deleting the configuration or the model does not touch a live endpoint.
    """

    name: str
    arn: str
    config: str
    status: EndpointStatus
    created_at: float
    modified_at: float
    variants: tuple[ProductionVariant, ...]
    models: tuple[Model, ...]
    failure_reason: str | None = None
    document: str = "{}"


Record = Model | EndpointConfig | Endpoint
