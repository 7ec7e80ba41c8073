"""The server around a scripted engine, on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.toy_tokenizers import write_model

from nearstream.core.generation import EngineRequest, Sampling, Step
from nearstream.engines.scripted import ScriptedEngine
from nearstream.replica.access import ManagementAccess
from nearstream.replica.settings import ServerSettings
from nearstream.replica.tgi import server as tgi
from nearstream.text.tokenizer import load_tokenizer
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

LOGPROB = -0.5
MANAGER = "the-management-key"
AS_MANAGER = {"Authorization": f"Bearer {MANAGER}"}
Asked = tuple[list[int], Sampling, int]


class Witness(ScriptedEngine):
    """The scripted engine, which also notes what it was asked for and how often it spoke."""

    def __init__(self, ids: Sequence[int], **options: Any) -> None:
        super().__init__(self._say, **options)
        self.ids = list(ids)
        self.asked: list[Asked] = []
        self.said = 0
        self.pause_at: int | None = None
        """After so many tokens it holds, until it is resumed."""

    def generate(
        self, request: EngineRequest, *, on_end: Callable[[], None] | None = None
    ) -> AsyncGenerator[Step, None]:
        self.asked.append((list(request.prompt), request.sampling, request.max_new_tokens))
        return super().generate(request, on_end=on_end)

    def has_said(self, count: int) -> bool:
        return self.said >= count

    def _say(self, prompt: Sequence[int], said: int) -> int:
        self.said += 1
        if self.said == self.pause_at:
            self.pause()
        return self.ids[said % len(self.ids)]


@dataclass
class Server:
    url: str
    engine: Witness
    stop: asyncio.Event
    socket: Path | None = None


def model(directory: Path) -> Path:
    return directory if (directory / "tokenizer.json").exists() else write_model(directory)


def ids_of(text: str, directory: Path, *, eos: bool = True) -> list[int]:
    tokenizer = load_tokenizer(model(directory))
    end = [token for token in tokenizer.special.eos_ids if tokenizer.special_text(token) == "</s>"]
    return tokenizer.encode(text, add_special_tokens=False) + (end if eos else [])


def settings(directory: Path, *, terms: Terms | None = None, **changes: Any) -> ServerSettings:
    small = Terms(limits=Limits(max_input_tokens=64, max_total_tokens=128))
    keys = [key for key in (changes.get("api_key"), MANAGER) if key]
    options: dict[str, Any] = {
        "port": 0,
        "grace_s": 5.0,
        "management": ManagementAccess(tuple(keys)),
    } | changes
    return ServerSettings("toy/model", model(directory), terms or small, **options)


@asynccontextmanager
async def serving(
    told: ServerSettings,
    engine: Witness,
    *,
    serve: Callable[..., Coroutine[None, None, None]] = tgi.serve,
    gate: asyncio.Event | None = None,
    **options: Any,
) -> AsyncIterator[Server]:
    """A server that is ready, or with a `gate` one whose model loads only once that is set."""

    @asynccontextmanager
    async def factory() -> AsyncIterator[Witness]:
        if gate:
            await gate.wait()
        yield engine

    stop, ready = asyncio.Event(), asyncio.Event()
    addresses: list[str] = []

    def listening(found: Sequence[str]) -> None:
        addresses.extend(found)
        if gate:
            ready.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve(told, factory, stop=stop, on_listening=listening, on_ready=ready.set, **options)
        )
        await ready.wait()
        try:
            yield Server(addresses[-1], engine, stop, told.socket)
        finally:
            stop.set()
