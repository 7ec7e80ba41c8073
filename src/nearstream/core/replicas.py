"""What a replica is: one model server behind an endpoint's variant."""

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
    unpacked: bool = True
    """Model data that is an archive is unpacked."""
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A Unix socket on this machine."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class HostPort:
    """A TCP port of some machine."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


Address = UnixSocket | HostPort

NO_ADDRESS = UnixSocket("")
"""Of a replica that could not be started."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica as observed. It serves HTTP at `address`.

    `handle` is how its deployer finds it again, as an operator may read it; nothing else takes it apart.
    """

    id: str
    spec: ReplicaSpec
    state: ReplicaState
    address: Address
    handle: str
    started_at: float
    """Seconds of its deployer's clock, which never goes back."""
    exit_reason: str | None = None
    """For a dead replica: why, in a sentence, with the tail of its log."""
    since: float | None = None
    """When it entered `state`, by the same clock; None: when it was started."""
    unfit: bool = False
    """For a dead replica: whether another one would end as it did."""
