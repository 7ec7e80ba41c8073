"""What the fleet looks like at one moment, for the data plane: it never asks the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nearstream.core.endpoints import Endpoint
from nearstream.core.replicas import Replica, ReplicaState


@dataclass(frozen=True, slots=True)
class Serving:
    """An endpoint with its replicas, in every state."""

    endpoint: Endpoint
    replicas: tuple[Replica, ...] = ()

    @property
    def ready(self) -> tuple[Replica, ...]:
        return tuple(replica for replica in self.replicas if replica.state is ReplicaState.READY)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Endpoints by name. `observed_at`: when the look at the replicas began, by the fleet's clock."""

    endpoints: Mapping[str, Serving] = field(default_factory=dict)
    observed_at: float = 0.0

    @classmethod
    def of(cls, endpoints: Sequence[Endpoint], replicas: Sequence[Replica], observed_at: float) -> Fleet:
        """Each endpoint with the replicas that bear its name."""
        return cls(
            {
                endpoint.name: Serving(
                    endpoint, tuple(replica for replica in replicas if replica.spec.endpoint == endpoint.name)
                )
                for endpoint in endpoints
            },
            observed_at,
        )

    def with_endpoint(self, endpoint: Endpoint) -> Fleet:
        """The same fleet with one endpoint's record changed."""
        serving = self.endpoints.get(endpoint.name, Serving(endpoint))
        changed = {**self.endpoints, endpoint.name: replace(serving, endpoint=endpoint)}
        return replace(self, endpoints=changed)
