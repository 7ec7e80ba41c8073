"""What an endpoint asks to run: from its models' containers to the specs of its replicas."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nearstream.core.aliases import Aliases, apply_aliases
from nearstream.core.endpoints import Container, Endpoint, Model, ProductionVariant
from nearstream.core.errors import NearstreamError, Unusable
from nearstream.core.replicas import Persona, ReplicaSpec

DEFAULT_STARTUP_TIMEOUT_S = 600.0
MODEL_DIRECTORY = "/opt/ml/model"
_DEPLOYMENT_DIGITS = 24

# Where a container's environment names its model, by persona; the first that is there counts.
_MODEL_ID_KEYS: Mapping[Persona, tuple[str, ...]] = {
    "tgi": ("HF_MODEL_ID",),
    "lmi": ("OPTION_MODEL_ID", "HF_MODEL_ID"),
}

ReadImage = Callable[[str], tuple[Persona, str]]
"""An image URI to the server it means and that server's version, "" if unknown."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`instances` interchangeable replicas of one variant."""

    spec: ReplicaSpec
    instances: int


@dataclass(frozen=True, slots=True)
class Desired:
    """An endpoint and the replicas that it needs; `problem`, a sentence, when that can never run."""

    endpoint: Endpoint
    wanted: tuple[Wanted, ...] = ()
    problem: str | None = None


def desired(endpoint: Endpoint, *, read_image: ReadImage, aliases: Aliases) -> Desired:
    """The replicas that `endpoint` needs; never raises for what is in its models."""
    models = {model.name: model for model in endpoint.models}
    try:
        wanted = tuple(
            Wanted(
                spec_for(
                    endpoint, variant, models.get(variant.model or ""), read_image=read_image, aliases=aliases
                ),
                variant.instances,
            )
            for variant in endpoint.variants
        )
    except NearstreamError as error:
        return Desired(endpoint, problem=str(error))
    return Desired(endpoint, wanted)


def spec_for(
    endpoint: Endpoint,
    variant: ProductionVariant,
    model: Model | None,
    *,
    read_image: ReadImage,
    aliases: Aliases,
) -> ReplicaSpec:
    """The spec of the variant's replicas: those of its model's first container. Raises Unusable.

    `aliases` name the model that runs for the id that a container requests.
    """
    if model is None or not model.containers:
        raise Unusable(f"The production variant {variant.name} has no model: give it a ModelName.")
    container = model.containers[0]
    persona, version = read_image(container.image)
    if persona not in _MODEL_ID_KEYS:
        raise Unusable(
            f"The image {container.image} is neither TGI nor LMI, the two model servers that run here: "
            "use an image of one of them."
        )
    requested = _requested_model(container, persona)
    data = _data_with_the_model(container, persona, requested)
    runs = "" if data else apply_aliases(requested, aliases)
    if not runs and not data:
        raise Unusable(
            "The container's environment does not say which model to run, and no model data is given: "
            f"set {_MODEL_ID_KEYS[persona][0]} or ModelDataUrl, or start nearstream with an alias "
            '"*" for any model.'
        )
    return ReplicaSpec(
        endpoint=endpoint.name,
        variant=variant.name,
        config=endpoint.config,
        container=container.hostname or "primary",
        persona=persona,
        version=version,
        model=runs,
        requested_model=requested or model.name,
        environment=container.environment,
        startup_timeout_s=variant.startup_timeout_s or DEFAULT_STARTUP_TIMEOUT_S,
        model_data=data,
        unpacked=container.unpacked,
        deployment=_deployment(endpoint, model) if data else "",
    )


def _data_with_the_model(container: Container, persona: Persona, requested: str) -> str | None:
    """The URL of the model data, unless the container would not look at it.

    An LMI container reads its settings there, whatever its environment names. TGI's takes the model that is
    named; /opt/ml/model is where SageMaker lays the data.
    """
    named = requested and not requested.startswith(MODEL_DIRECTORY)
    return None if persona == "tgi" and named else container.model_data_url


def _deployment(endpoint: Endpoint, model: Model) -> str:
    """Names this endpoint's use of this model under this configuration; another name once created again."""
    parts = (endpoint.name, endpoint.created_at, endpoint.config, model.name, model.created_at)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:_DEPLOYMENT_DIGITS]


def _requested_model(container: Container, persona: Persona) -> str:
    environment = dict(container.environment)
    named = (environment.get(key, "") for key in _MODEL_ID_KEYS[persona])
    return next((name for name in named if name), "")
