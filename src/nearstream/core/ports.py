"""The seams between the parts: what an engine, a dialect and a deployer must be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import Delta, EngineRequest, GenerationRequest, Sampling, Step
from nearstream.core.replicas import Replica, ReplicaSpec

Clock = Callable[[], float]
Payload = bytes | tuple[bytes, ...]
"""What to send now: one chunk, or several that each are to arrive as one."""


class Engine(Protocol):
    """Token ids in, token ids and logprobs out."""

    def generate(
        self, request: EngineRequest, *, on_end: Callable[[], None] | None = None
    ) -> AsyncGenerator[Step, None]:
        """Continue `request.prompt`. Closing the generator aborts the request within one engine step.

        An engine may run ahead of its reader. `on_end` is called when it is done with the request, no later
        than the last step is taken; not if it never began on it, or if the generator was closed before.

        Raises on the first `anext`: Unsupported for an option that this engine lacks, Overloaded when its
        queue is full; and at any step EngineDied or GenerationFailed.
        """
        ...

    async def healthy(self) -> bool:
        """Whether a request sent now would be served."""
        ...

    async def aclose(self) -> None:
        """Abort what runs and free the engine; safe to call twice."""
        ...


@runtime_checkable
class AdapterHost(Protocol):
    """What an engine is beside `Engine` if it can put LoRA adapters over its model while it serves."""

    def adapters(self) -> frozenset[str]:
        """The names that `Sampling.adapter` may have now."""
        ...

    async def load_adapter(self, name: str, weights: Path) -> None:
        """Load `weights`, a file as `formats.safetensors` writes it: for each module that is changed a
        pair `base_model.model.<module>.lora_A.weight` [rank, in] and `….lora_B.weight` [out, rank], whose
        product is added to the module's own weight as it is. It must stay there until it is unloaded.

        Returns once it can be asked for. Raises Conflict for a name that is taken, Unusable for weights that
        do not load, NotReady while the engine restarts; what was loaded before serves on.
        """
        ...

    async def unload_adapter(self, name: str) -> None:
        """Forget an adapter. Answers that were begun with it are ended with it. Raises Missing."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """What an answer says of itself: its id, the model it names, when it was made (epoch seconds)."""

    id: str
    model: str
    created: int
    system_fingerprint: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What can be said of a request only when its prompt's tokens are counted."""

    max_new_tokens: int
    sampling: Sampling


class Encoder(Protocol):
    """Turns deltas into the bytes of one call's answer; feeding it is the only state it has."""

    def feed(self, delta: Delta) -> Payload:
        """Bytes to send now; b"" where this shape says nothing yet (a body that is sent whole)."""
        ...

    def fail(self, error: NearstreamError) -> Payload:
        """The last bytes of a stream that breaks."""
        ...


class GenerationCall(Protocol):
    """One parsed call: what to generate and how to say it."""

    @property
    def requests(self) -> tuple[GenerationRequest, ...]:
        """One for each answer that the call wants; `Delta.index` counts them."""
        ...

    @property
    def stream(self) -> bool:
        """Whether the answer goes out as it is made, under `content_type`."""
        ...

    @property
    def content_type(self) -> str: ...

    @property
    def keepalive(self) -> bytes:
        """What keeps a silent stream alive; b"" where nothing may be sent between events."""
        ...

    def settle(self, request: GenerationRequest, *, prompt_tokens: int) -> Settled:
        """The rules that need a count of tokens, and those that come after them. Raises Invalid."""
        ...

    def encoder(self, identity: Identity) -> Encoder: ...


class Deployer(Protocol):
    """Starts, stops and finds replicas on some kind of machine."""

    async def start(self, spec: ReplicaSpec) -> Replica:
        """Start one; returns at once, in state STARTING."""
        ...

    async def stop(self, replica_id: str, *, grace_s: float) -> None:
        """Drain, then end it after `grace_s` at the latest; a replica that is gone already is no error."""
        ...

    async def stop_all(self, *, grace_s: float) -> int:
        """Stop every replica this home owns, all at the same time; how many there were."""
        ...

    async def observe(self) -> Sequence[Replica]:
        """Every replica this home owns, those started by an earlier process too, with its state now."""
        ...


@dataclass(frozen=True, slots=True)
class ReplicaLog:
    """The log of one replica; `name` tells it from every other log of its site."""

    name: str
    replica_id: str
    size_bytes: int
    written_at: float = 0.0
    """When it was written last, in seconds since the epoch."""


class ReplicaLogs(Protocol):
    """What replicas wrote, those that are gone too."""

    async def logs(self, endpoint: str) -> Sequence[ReplicaLog]:
        """The logs of an endpoint's replicas, the one written last at the end."""
        ...

    async def read(self, log: ReplicaLog, *, start: int) -> bytes:
        """Some of a log from the byte `start` on; b"" at its end. A log that became shorter was rotated."""
        ...
