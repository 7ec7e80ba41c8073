"""An engine that says what the test wrote down, and the server around it on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nearstream.core.errors import GenerationFailed, NearstreamError
from nearstream.core.generation import Sampling, Step
from nearstream.replica.server import serve
from nearstream.replica.settings import ServerSettings
from nearstream.text.tokenizer import load_tokenizer
from nearstream.wire.dialects.terms import Limits, Terms
from tests.toy_tokenizers import write_model

LOGPROB = -0.25


@dataclass
class ScriptedEngine:
    """Says `ids` step by step. With a `gate` each step waits for a permit; `fails` after the last id."""

    ids: list[int]
    gate: asyncio.Semaphore | None = None
    fails: NearstreamError | None = None
    refuses: NearstreamError | None = None
    step: int = 1
    running: int = 0
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[list[int], Sampling, int]] = field(default_factory=list)
    alive: bool = True

    async def generate(
        self, prompt: Sequence[int], sampling: Sampling, *, max_new_tokens: int
    ) -> AsyncGenerator[Step, None]:
        if self.refuses:
            raise self.refuses
        self.asked.append((list(prompt), sampling, max_new_tokens))
        self.running += 1
        try:
            said = self.ids[:max_new_tokens]
            for at in range(0, len(said), self.step):
                if self.gate:
                    await self.gate.acquire()
                part = tuple(said[at : at + self.step])
                yield Step(part, (LOGPROB,) * len(part), self._finish(part, at + len(part), sampling, said))
            raise self.fails or GenerationFailed("the script is over")
        finally:
            self.running -= 1
            self.aborted.set()

    def _finish(self, part: tuple[int, ...], done: int, sampling: Sampling, said: list[int]) -> str | None:
        if part[-1] in sampling.stop_token_ids:
            return "eos"
        return "length" if done == len(said) and not self.fails else None

    async def healthy(self) -> bool:
        return self.alive

    async def aclose(self) -> None:
        self.alive = False


@dataclass
class Server:
    url: str
    engine: ScriptedEngine
    stop: asyncio.Event
    socket: Path | None = None


def model(directory: Path) -> Path:
    return directory if (directory / "tokenizer.json").exists() else write_model(directory)


def ids_of(text: str, directory: Path, *, eos: bool = True) -> list[int]:
    tokenizer = load_tokenizer(model(directory))
    end = [token for token in tokenizer.special.eos_ids if tokenizer.special_text(token) == "</s>"]
    return tokenizer.encode(text, add_special_tokens=False) + (end if eos else [])


def settings(directory: Path, *, terms: Terms | None = None, **changes: object) -> ServerSettings:
    small = Terms(limits=Limits(max_input_tokens=64, max_total_tokens=128))
    options = {"port": 0, "grace_s": 5.0} | changes
    return ServerSettings("toy/model", model(directory), terms or small, **options)


@asynccontextmanager
async def serving(told: ServerSettings, engine: ScriptedEngine, *, gate: asyncio.Event | None = None) -> AsyncIterator[Server]:
    """A server that is ready, or with a `gate` one whose model loads only once that is set."""

    @asynccontextmanager
    async def factory() -> AsyncIterator[ScriptedEngine]:
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
        tasks.create_task(serve(told, factory, stop=stop, on_listening=listening, on_ready=ready.set))
        await ready.wait()
        try:
            yield Server(addresses[-1], engine, stop, told.socket)
        finally:
            stop.set()
