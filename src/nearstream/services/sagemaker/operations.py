"""Every SageMaker operation that is answered, by its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from nearstream.core.ports import Clock
from nearstream.fleet.store import Store
from nearstream.services.sagemaker.endpoint_configs import EndpointConfigs
from nearstream.services.sagemaker.endpoints import Endpoints
from nearstream.services.sagemaker.models import Models
from nearstream.services.sagemaker.records import Records
from nearstream.services.sagemaker.tags import Tags
from nearstream.wire.aws.arn import Account
from nearstream.wire.aws.service import Document

Operation = Callable[[Document], Awaitable[Document]]
"""A checked input in, an output out; raises domain errors, for `wire.aws.errors.SAGEMAKER` to translate."""


def operations(store: Store, account: Account, clock: Clock) -> Mapping[str, Operation]:
    """The control plane of `account` over `store`; `clock` gives seconds since the epoch."""
    records = Records(store, account)
    models, configs = Models(records, clock), EndpointConfigs(records, clock)
    endpoints, tags = Endpoints(records, clock), Tags(records)
    return {
        "CreateModel": models.create,
        "DescribeModel": models.describe,
        "DeleteModel": models.delete,
        "ListModels": models.list,
        "CreateEndpointConfig": configs.create,
        "DescribeEndpointConfig": configs.describe,
        "DeleteEndpointConfig": configs.delete,
        "ListEndpointConfigs": configs.list,
        "CreateEndpoint": endpoints.create,
        "DescribeEndpoint": endpoints.describe,
        "UpdateEndpoint": endpoints.update,
        "UpdateEndpointWeightsAndCapacities": endpoints.update_weights_and_capacities,
        "DeleteEndpoint": endpoints.delete,
        "ListEndpoints": endpoints.list,
        "AddTags": tags.add,
        "ListTags": tags.list,
        "DeleteTags": tags.delete,
    }
