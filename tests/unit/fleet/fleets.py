"""Endpoints and replicas for tests of the fleet."""

from __future__ import annotations

from dataclasses import replace

from nearstream.core.endpoints import Container, Endpoint, EndpointStatus, Model, ProductionVariant
from nearstream.core.replicas import Replica, ReplicaSpec, ReplicaState, UnixSocket
from nearstream.fleet.specs import Desired, Wanted

VARIANT = ProductionVariant("AllTraffic", "falcon")


def model(name: str = "falcon", image: str = "tgi", **environment: str) -> Model:
    return Model(name, f"arn:model/{name}", 1.0, (Container(image, tuple(environment.items())),))


def endpoint(
    status: EndpointStatus = EndpointStatus.IN_SERVICE,
    variants: tuple[ProductionVariant, ...] = (VARIANT,),
    name: str = "chat",
) -> Endpoint:
    return Endpoint(
        name=name,
        arn=f"arn:endpoint/{name}",
        config="chat-1",
        status=status,
        created_at=1.0,
        modified_at=1.0,
        variants=variants,
        models=(model(HF_MODEL_ID="tiiuae/falcon-7b-instruct"),),
    )


def spec(variant: str = "AllTraffic", config: str = "chat-1", name: str = "chat") -> ReplicaSpec:
    return ReplicaSpec(
        endpoint=name,
        variant=variant,
        config=config,
        container="primary",
        persona="tgi",
        version="0.9.3",
        model="builtin",
        requested_model="tiiuae/falcon-7b-instruct",
        environment=(("HF_MODEL_ID", "tiiuae/falcon-7b-instruct"),),
    )


def wants(status: EndpointStatus = EndpointStatus.IN_SERVICE, instances: int = 1, **of_spec: str) -> Desired:
    return Desired(endpoint(status, name=of_spec.get("name", "chat")), (Wanted(spec(**of_spec), instances),))


def replica(
    replica_id: str = "r-1",
    state: ReplicaState = ReplicaState.READY,
    *,
    started_at: float = 0.0,
    of: ReplicaSpec | None = None,
    exit_reason: str | None = None,
) -> Replica:
    return Replica(
        id=replica_id,
        spec=of or spec(),
        state=state,
        address=UnixSocket(f"/run/{replica_id}.sock"),
        handle="pid 1",
        started_at=started_at,
        exit_reason=exit_reason,
    )


def variant(name: str, weight: float = 1.0) -> ProductionVariant:
    return replace(VARIANT, name=name, weight=weight)
