"""Asking an engine, and waiting for it."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from tests.support.waiting import until

from nearstream.core.generation import EngineRequest, Sampling, Step
from nearstream.core.ports import AdapterHost, Engine

PROMPT = (5, 6, 7, 8, 9, 10)
LONG = 400
GREEDY = Sampling()


async def collect(engine, prompt=PROMPT, sampling=GREEDY, max_new_tokens=12) -> list[Step]:
    async with aclosing(engine.generate(EngineRequest(prompt, sampling, max_new_tokens))) as steps:
        return [step async for step in steps]


def ids(steps: list[Step]) -> list[int]:
    return [token for step in steps for token in step.token_ids]


async def first_step(answer) -> Step:
    return await anext(answer)


async def drain(answer) -> None:
    async for _ in answer:
        pass


class CountingEngine(Engine, AdapterHost, Protocol):
    """What the suite looks at beside the port."""

    @property
    def live(self) -> int: ...

    @property
    def waiting(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Limits:
    max_seqs: int = 8
    max_waiting: int = 4


USUAL = Limits()


async def until_healthy(engine: Engine, *, within_s: float = 30.0) -> None:
    """Wait until the engine would serve."""
    await until(engine.healthy, within_s=within_s)
