"""What the LMI server serves under a name: a model on our engine, or a user's handler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from nearstream.replica.calls import Call
from nearstream.replica.lmi.inbound import Inbound
from nearstream.wire.dialects.adapter_bodies import Adapter


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be served as `name`: the model at `url`, and what its registration says of it.

    `url` is a folder, an s3:// address or a hub id; "" means that settings alone say which model it is.
    `settings` stand where the model's own serving.properties says nothing, by the server's keys.
    """

    name: str
    url: str = ""
    version: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    at_startup: bool = False


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that answers. `started_at`: seconds since the epoch."""

    id: int
    started_at: float
    ready: bool


@dataclass(frozen=True, slots=True)
class WorkerGroup:
    """The workers of a model, and their limits."""

    workers: tuple[Worker, ...]
    min_workers: int
    max_workers: int
    batch_size: int
    max_batch_delay_ms: int
    max_idle_s: int
    queue_size: int
    waiting: int


class ModelAdapters(Protocol):
    """The LoRA adapters of a model. `options`: what else the call said that loads one.

    Raises Conflict for a name that is taken, Missing for one that is not there, Unusable for what cannot be
    loaded.
    """

    @property
    def all(self) -> list[Adapter]:
        """In the order in which they were loaded."""
        ...

    async def load(self, name: str, source: str, *, options: Mapping[str, str] | None = None) -> Adapter: ...

    async def update(
        self, name: str, source: str, *, options: Mapping[str, str] | None = None
    ) -> Adapter: ...

    async def unload(self, name: str) -> Adapter: ...


class Served(Protocol):
    """A model that is loaded."""

    @property
    def adapters(self) -> ModelAdapters | None:
        """None: it takes none."""
        ...

    async def answer(self, request: web.Request, inbound: Inbound, call: Call) -> web.StreamResponse:
        """Raises NearstreamError where nothing was sent yet."""
        ...

    async def healthy(self) -> bool:
        """Whether a call sent now would be answered."""
        ...

    def worker_group(self) -> WorkerGroup: ...

    async def scale(self, min_workers: int, max_workers: int) -> None:
        """Have at least and at most so many workers. Raises Invalid where that makes no sense."""
        ...


Opener = Callable[[Source], AbstractAsyncContextManager[Served]]
"""Loads a model and keeps it for the length of the block. Raises Unusable, NotReady."""
