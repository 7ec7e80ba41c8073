"""The LoRA adapters of a server: loaded at its start and while it runs, requested by name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from nearstream.core.errors import Conflict, Invalid, Missing, NotReady, Unusable
from nearstream.core.generation import EngineRequest, Step
from nearstream.core.ports import AdapterHost, Engine
from nearstream.wire.dialects.adapter_bodies import MOST_NAME, NAME, Adapter

Prepare = Callable[[str], Awaitable[Path]]
"""From a source to the file that an engine loads, which is removed when it is no longer needed."""
_NO_HOST = "the engine takes no adapters"
_log = structlog.get_logger(__name__)


async def _refuse(source: str) -> Path:
    raise Unusable(f"{source!r} is not loaded: this server was started without adapters")


class Adapters:
    """`name in adapters`: whether it can be requested now.

    `configured`: names and sources of what is loaded at the start."""

    def __init__(
        self,
        prepare: Prepare = _refuse,
        configured: Sequence[tuple[str, str]] = (),
        *,
        taken: str | None = None,
    ) -> None:
        self._prepare = prepare
        self._configured = configured
        self._taken = taken
        self._host: AdapterHost | None = None
        self._hostless = False
        self._loaded: dict[str, tuple[Adapter, Path]] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._loaded

    @property
    def all(self) -> list[Adapter]:
        """In the order in which they were loaded."""
        return [adapter for adapter, _ in self._loaded.values()]

    async def open(self, engine: Engine) -> Engine:
        """Load what is configured; the engine for requests that may name adapters. Raises Unusable."""
        if not isinstance(engine, AdapterHost):
            if self._configured:
                raise Unusable(f"{_NO_HOST}: start without LORA_ADAPTERS")
            self._hostless = True
            return engine
        self._host = engine
        for name, source in self._configured:
            try:
                await self.load(name, source)
            except (Conflict, Invalid) as error:
                raise Unusable(f"LORA_ADAPTERS: {error}") from error
        return AdaptedEngine(engine, engine.adapters)

    async def load(self, name: str, source: str, *, options: Mapping[str, str] | None = None) -> Adapter:
        """Raises Invalid or Conflict for the name, Unusable for what is at the source, NotReady.

        An adapter is loaded at once and stays, whatever `options` say.
        """
        host = self._open_host()
        self._check(name)
        file = await self._prepare(source)
        try:
            await host.load_adapter(name, file)
        except BaseException:
            await asyncio.to_thread(file.unlink, missing_ok=True)
            raise
        adapter = Adapter(name=name, source=source)
        self._loaded[name] = adapter, file
        _log.info("adapter loaded", adapter=name, source=source)
        return adapter

    async def unload(self, name: str) -> Adapter:
        """Answers that were begun with it are ended with it. Raises Missing, NotReady."""
        host = self._open_host()
        if name not in self._loaded:
            raise Missing(f"there is no adapter {name!r}")
        adapter, file = self._loaded.pop(name)
        await host.unload_adapter(name)
        await asyncio.to_thread(file.unlink, missing_ok=True)
        return adapter

    async def update(self, name: str, source: str, *, options: Mapping[str, str] | None = None) -> Adapter:
        """Load it again. Meanwhile the model answers without it. Raises as `load` does, and Missing."""
        before = await self.unload(name)
        try:
            return await self.load(name, source, options=options)
        except BaseException:
            await self.load(name, before.source)
            raise

    def _open_host(self) -> AdapterHost:
        if self._hostless:
            raise Unusable(_NO_HOST)
        if self._host is None:
            raise NotReady("the model is still loading")
        return self._host

    def _check(self, name: str) -> None:
        if not re.fullmatch(NAME, name) or len(name) > MOST_NAME:
            raise Invalid(f"invalid adapter name {name!r}: use letters, digits and _ . : @ / ~ -")
        if name in self._loaded:
            raise Conflict(f"an adapter {name!r} is loaded already: delete it first, or take another name")
        if name == self._taken:
            raise Conflict(f"{name!r} is the model's own name: take another for the adapter")


class AdaptedEngine:
    """An engine that answers with the base model where an adapter was unloaded before its turn came."""

    def __init__(self, engine: Engine, names: Callable[[], frozenset[str]]) -> None:
        self._engine = engine
        self._names = names

    def generate(
        self, request: EngineRequest, *, on_end: Callable[[], None] | None = None
    ) -> AsyncGenerator[Step, None]:
        """See `Engine.generate`; iterate it at once."""
        adapter = request.sampling.adapter
        if adapter is not None and adapter not in self._names():
            request = replace(request, sampling=replace(request.sampling, adapter=None))
        return self._engine.generate(request, on_end=on_end)

    async def healthy(self) -> bool:
        return await self._engine.healthy()

    async def aclose(self) -> None:
        await self._engine.aclose()
