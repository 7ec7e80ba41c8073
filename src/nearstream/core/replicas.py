"""What a replica is: one model server process behind an endpoint's variant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Persona = str  # "tgi" | "lmi"

# A model server ends with this code when what was deployed cannot run, however often it is started.
UNFIT_EXIT = 6


class ReplicaState(StrEnum):
    """A replica's life. Only READY takes new work; DRAINING finishes what it has."""

    STARTING = "Starting"
    READY = "Ready"
    DRAINING = "Draining"
    DEAD = "Dead"


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """What a replica should be; two replicas with equal specs are interchangeable.

    `model` is what `nearstream serve` takes: "builtin", a directory, a GGUF file or a hub id;
    `requested_model` is the id the user named before aliases. `environment` is the container's, as the user
    gave it: never logged. `model_data` is the URL of an archive or of a prefix that the model comes from;
    `model` is "" then. Replicas of one `deployment` get the same data.
    """

    endpoint: str
    variant: str
    config: str
    container: str
    persona: Persona
    version: str
    model: str
    requested_model: str
    environment: tuple[tuple[str, str], ...] = ()
    startup_timeout_s: float = 600.0
    model_data: str | None = None
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica as observed. `socket` is the path of the Unix socket it serves HTTP on."""

    id: str
    spec: ReplicaSpec
    state: ReplicaState
    socket: str
    pid: int
    started_at: float
    """Seconds since the epoch."""
    exit_reason: str | None = None
    """For a dead replica: why, in a sentence, with the tail of its log."""
    since: float | None = None
    """When it entered `state`, seconds since the epoch; None: when it was started."""
    unfit: bool = False
    """For a dead replica: whether another one would end as it did."""
