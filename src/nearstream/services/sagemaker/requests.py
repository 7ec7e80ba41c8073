"""The inputs of SageMaker's hosting operations, every member of them.

They are read from documents that were checked against botocore's shapes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from nearstream.services.service import Kept, Refused

JsonObject = dict[str, Any]


class Tag(msgspec.Struct, frozen=True, rename="pascal"):
    key: str
    value: str


class ContainerDefinition(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    image: str | None = None
    environment: dict[str, str] | None = None
    model_data_url: str | None = None
    model_data_source: JsonObject | None = None
    mode: str | None = None
    container_hostname: str | None = None
    image_config: Kept[JsonObject | None] = None
    additional_model_data_sources: Kept[list[JsonObject] | None] = None
    model_package_name: Refused[str | None] = None
    inference_specification_name: Kept[str | None] = None
    multi_model_config: Kept[JsonObject | None] = None
    container_metrics_config: Kept[JsonObject | None] = None


class CreateModel(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    model_name: str
    primary_container: ContainerDefinition | None = None
    containers: list[ContainerDefinition] | None = None
    tags: list[Tag] = []
    inference_execution_config: Kept[JsonObject | None] = None
    execution_role_arn: Kept[str | None] = None
    vpc_config: Kept[JsonObject | None] = None
    enable_network_isolation: Kept[bool] = False


class ServerlessConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    memory_size: int = msgspec.field(name="MemorySizeInMB")
    max_concurrency: Kept[int]
    provisioned_concurrency: Kept[int | None] = None


class VariantDefinition(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A ProductionVariant as a request has it."""

    variant_name: str
    model_name: str | None = None
    initial_instance_count: int | None = None
    initial_variant_weight: float = 1.0
    instance_type: Kept[str | None] = None
    container_startup_health_check_timeout_in_seconds: int | None = None
    serverless_config: ServerlessConfig | None = None
    instance_pools: Kept[list[JsonObject] | None] = None
    variant_instance_provision_timeout_in_seconds: Kept[int | None] = None
    accelerator_type: Kept[str | None] = None
    core_dump_config: Kept[JsonObject | None] = None
    volume_size_in_gb: Kept[int | None] = msgspec.field(default=None, name="VolumeSizeInGB")
    model_data_download_timeout_in_seconds: Kept[int | None] = None
    enable_ssm_access: Kept[bool | None] = msgspec.field(default=None, name="EnableSSMAccess")
    managed_instance_scaling: Kept[JsonObject | None] = None
    routing_config: Kept[JsonObject | None] = None
    inference_ami_version: Kept[str | None] = None
    capacity_reservation_config: Kept[JsonObject | None] = None
    accelerator_partition_layouts: Kept[list[Any] | None] = None


class CreateEndpointConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    endpoint_config_name: str
    production_variants: list[VariantDefinition]
    tags: list[Tag] = []
    shadow_production_variants: Refused[list[JsonObject] | None] = None
    async_inference_config: Refused[JsonObject | None] = None
    explainer_config: Refused[JsonObject | None] = None
    data_capture_config: Refused[JsonObject | None] = None
    cross_region_traffic_config: Refused[JsonObject | None] = None
    kms_key_id: Kept[str | None] = None
    execution_role_arn: Kept[str | None] = None
    vpc_config: Kept[JsonObject | None] = None
    enable_network_isolation: Kept[bool] = False
    metrics_config: Kept[JsonObject | None] = None


class CreateEndpoint(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    endpoint_name: str
    endpoint_config_name: str
    deployment_config: Kept[JsonObject | None] = None
    tags: list[Tag] = []


class VariantProperty(msgspec.Struct, frozen=True, rename="pascal"):
    variant_property_type: str


class UpdateEndpoint(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    endpoint_name: str
    endpoint_config_name: str
    retain_all_variant_properties: bool = False
    exclude_retained_variant_properties: list[VariantProperty] = []
    deployment_config: Kept[JsonObject | None] = None
    retain_deployment_config: Kept[bool] = False


class DesiredWeightAndCapacity(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    variant_name: str
    desired_weight: float | None = None
    desired_instance_count: int | None = None
    serverless_update_config: Refused[JsonObject | None] = None


class UpdateEndpointWeightsAndCapacities(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    endpoint_name: str
    desired_weights_and_capacities: list[DesiredWeightAndCapacity]


class ModelName(msgspec.Struct, frozen=True):
    """The input of DescribeModel and DeleteModel."""

    name: str = msgspec.field(name="ModelName")


class EndpointConfigName(msgspec.Struct, frozen=True):
    """The input of DescribeEndpointConfig and DeleteEndpointConfig."""

    name: str = msgspec.field(name="EndpointConfigName")


class EndpointName(msgspec.Struct, frozen=True):
    """The input of DescribeEndpoint and DeleteEndpoint."""

    name: str = msgspec.field(name="EndpointName")


class ListRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The input of every List; those that a List does not have keep their defaults. Times are seconds."""

    sort_by: Literal["Name", "CreationTime", "Status"] = "CreationTime"
    sort_order: Literal["Ascending", "Descending"] = "Descending"
    next_token: str | None = None
    max_results: int = 10
    name_contains: str = ""
    creation_time_after: float | None = None
    creation_time_before: float | None = None
    last_modified_time_after: float | None = None
    last_modified_time_before: float | None = None
    status_equals: str | None = None


class AddTags(msgspec.Struct, frozen=True, rename="pascal"):
    resource_arn: str
    tags: list[Tag]


class ListTags(msgspec.Struct, frozen=True, rename="pascal"):
    resource_arn: str
    max_results: int | None = None
    next_token: str | None = None


class DeleteTags(msgspec.Struct, frozen=True, rename="pascal"):
    resource_arn: str
    tag_keys: list[str]


def document_of(request: CreateModel | CreateEndpointConfig | CreateEndpoint | UpdateEndpoint) -> str:
    """The members that a request has, as JSON, but the tags, which are kept apart."""
    members = msgspec.to_builtins(request)
    members.pop("Tags", None)
    return json_of(members)


def json_of(value: object) -> str:
    """`value` as JSON, without the members that were not given."""
    return msgspec.json.encode(_given(msgspec.to_builtins(value))).decode()


def _given(value: Any) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(value, dict):
        return {key: _given(item) for key, item in value.items() if item is not None}
    return [_given(item) for item in value] if isinstance(value, list) else value
