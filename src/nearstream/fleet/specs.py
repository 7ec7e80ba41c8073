"""What an endpoint asks to run: from its models' containers to the specs of its replicas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nearstream.core.aliases import Aliases, apply_aliases
from nearstream.core.endpoints import Container, Endpoint, Model, ProductionVariant
from nearstream.core.errors import NearstreamError, Unusable
from nearstream.core.replicas import Persona, ReplicaSpec

DEFAULT_STARTUP_TIMEOUT_S = 600.0

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
    """An endpoint and what it wants; `problem`, a sentence, when that can never run."""

    endpoint: Endpoint
    wanted: tuple[Wanted, ...] = ()
    problem: str | None = None


def desired(endpoint: Endpoint, *, read_image: ReadImage, aliases: Aliases) -> Desired:
    """What `endpoint` wants; never raises for what its models say."""
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

    `aliases` say which model runs for the id that a container asks for.
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
    runs = apply_aliases(requested, aliases)
    if not runs:
        raise Unusable(
            "The container's environment does not say which model to run: "
            f'set {_MODEL_ID_KEYS[persona][0]}, or start nearstream with an alias "*" for any model.'
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
    )


def _requested_model(container: Container, persona: Persona) -> str:
    environment = dict(container.environment)
    named = (environment.get(key, "") for key in _MODEL_ID_KEYS[persona])
    return next((name for name in named if name), "")
