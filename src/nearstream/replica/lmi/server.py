"""The LMI server: several models under one roof, each loaded when it is registered."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nearstream.core.ports import Clock
from nearstream.replica.calls import Calls
from nearstream.replica.host import Place, host
from nearstream.replica.lmi.app import Front, build_app
from nearstream.replica.lmi.registry import Registry
from nearstream.replica.lmi.served import Opener, Source
from nearstream.replica.operation import Operation
from nearstream.telemetry.djl import DjlMetrics
from nearstream.telemetry.spans import Trace, untraced


@dataclass(frozen=True, slots=True)
class LmiServerSettings:
    """Where to listen, how the edge behaves, and what to load at the start."""

    place: Place
    front: Front
    sources: tuple[Source, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Parts:
    """What it works with. `clock` gives seconds since the epoch; `trace` gets each call that has ended."""

    opener: Opener
    metrics: DjlMetrics
    clock: Clock
    trace: Trace = untraced


async def serve(
    settings: LmiServerSettings,
    parts: Parts,
    *,
    stop: asyncio.Event | None = None,
    on_listening: Callable[[Sequence[str]], None] = lambda addresses: None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until `stop` is set (without it: until SIGTERM or SIGINT), then drain and return.

    Listens at once; /ping says 207 until the models of the start are loaded. Raises what keeps one of them
    from loading, and Unusable for an address that cannot be used.
    """
    registry = Registry(parts.opener, parts.clock)
    calls = Calls(parts.metrics, time.perf_counter, lambda: secrets.token_hex(12), trace=parts.trace)

    async def hold() -> None:
        async with registry.run(settings.sources):
            on_ready()
            await asyncio.Event().wait()

    await host(
        build_app(registry, Operation(calls), parts.metrics, settings.front),
        settings.place,
        hold=hold(),
        drain=registry.drain,
        stop=stop,
        on_listening=on_listening,
    )
