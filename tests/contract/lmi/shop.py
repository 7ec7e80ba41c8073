"""An LMI server on a real socket, whose models are scripted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from tests.contract.replica.scripted import AS_MANAGER, MANAGER, Witness, ids_of, model

from nearstream.core.errors import Unusable
from nearstream.replica.access import ManagementAccess
from nearstream.replica.admission import Admission
from nearstream.replica.encoding import TextEncoder
from nearstream.replica.host import Place
from nearstream.replica.lmi.app import Front
from nearstream.replica.lmi.built_in import BuiltIn
from nearstream.replica.lmi.served import Served, Source
from nearstream.replica.lmi.server import LmiServerSettings, Parts, serve
from nearstream.replica.lmi.sessions import SessionHandler
from nearstream.replica.prompts import Entropy
from nearstream.replica.readiness import Readiness, ServedModel
from nearstream.replica.responses import ServerContext
from nearstream.replica.scheduler import Scheduler
from nearstream.replica.settings import ServerSettings
from nearstream.replica.templates.renderer import template_renderer
from nearstream.telemetry.djl import DjlMetrics
from nearstream.text.template_sources import template_sources
from nearstream.text.tokenizer import load_tokenizer
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits
from nearstream.wire.dialects.lmi import generate as lmi
from nearstream.wire.dialects.lmi.terms import Format, LmiTerms, lmi_release


@dataclass
class Shop:
    """What a test's models are made of. Urls: "broken" and "bug" do not load, "slow" waits for the gate."""

    directory: Path
    version: str = "0.25.0"
    form: Format = field(default_factory=lambda: Format("jsonlines"))
    queue: int = 100
    sessions: SessionHandler | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    engines: dict[str, Witness] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, source: Source) -> AsyncIterator[Served]:
        if source.url == "broken":
            raise Unusable("broken holds no model")
        if source.url == "bug":
            raise RuntimeError("nobody thought of this")
        if source.url == "slow":
            await self.gate.wait()
        engine = Witness(ids_of(f"{source.name} speaks", self.directory), max_seqs=256)
        self.engines[source.name] = engine
        terms = LmiTerms(
            lmi_release(self.version),
            self.form,
            limits := Limits(max_input_tokens=64, max_total_tokens=128),
            Terms(limits=limits),
            model=source.name,
        )
        path = model(self.directory)
        scheduler = Scheduler(max_size=32, max_tokens=None, max_waiting=self.queue)
        readiness = Readiness()
        tokenizer = load_tokenizer(path)
        renderer = template_renderer(template_sources(path), tokenizer.special)
        async with renderer as template:
            readiness.open(ServedModel(engine, tokenizer, TextEncoder(tokenizer), template, scheduler))
            context = ServerContext(
                settings=ServerSettings(source.name, path, terms.tgi, compute_type=None),
                readiness=readiness,
                admission=Admission(self.queue),
                entropy=Entropy(now=lambda: datetime.now(UTC), seed=lambda: 7),
                clock=time.perf_counter,
                new_id=lambda: "id",
            )
            yield BuiltIn(
                context, scheduler, partial(lmi.read, terms=terms), self.queue, time.time(), self.sessions
            )
        self.closed.append(source.name)


@asynccontextmanager
async def open_shop(
    shop: Shop, *sources: Source, wait: bool = True, **front: Any
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client, with the management key, of a server with these models at its start."""
    stop, listening, ready = asyncio.Event(), asyncio.Event(), asyncio.Event()
    addresses: list[str] = []

    def heard(found: Sequence[str]) -> None:
        addresses.extend(found)
        listening.set()

    options: dict[str, Any] = {
        "max_request_bytes": 100_000,
        "management": ManagementAccess((MANAGER,)),
    } | front
    edge = Front(lmi_release(shop.version), **options)
    settings = LmiServerSettings(Place(port=0, grace_s=5.0), edge, sources)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve(
                settings,
                Parts(shop.open, DjlMetrics(), time.time),
                stop=stop,
                on_listening=heard,
                on_ready=ready.set,
            )
        )
        await (ready if wait else listening).wait()
        connector = aiohttp.TCPConnector(limit=0)
        try:
            async with aiohttp.ClientSession(
                addresses[-1], connector=connector, headers=AS_MANAGER
            ) as session:
                yield session
        finally:
            stop.set()


def start(*names: str, url: str = "") -> list[Source]:
    return [Source(name, url, at_startup=True) for name in names]
