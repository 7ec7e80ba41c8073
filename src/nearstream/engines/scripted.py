"""An engine with no model: says what it is told to, or a function of the prompt. For tests and dry runs."""

from __future__ import annotations

import asyncio
import dataclasses
from array import array
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

from nearstream.core.errors import (
    Conflict,
    EngineDied,
    Invalid,
    Missing,
    NotReady,
    Overloaded,
    Unsupported,
    Unusable,
)
from nearstream.core.generation import EngineRequest, Sampling, Step
from nearstream.formats import safetensors

ENGINE = "scripted"
LACKS = frozenset({"typical_p", "watermark", "logit_bias", "grammar"})
_LOGPROB = -0.5

Script = Callable[[Sequence[int], int], int]
"""The next token id, from the prompt and the number of tokens said so far."""

_UNASKED = {field.name: field.default for field in dataclasses.fields(Sampling)}


def sum_of_prompt(vocab_size: int) -> Script:
    """A script that depends on every token of the prompt and never repeats at once."""
    return lambda prompt, said: (sum(prompt) + 7 * said + 3) % vocab_size


def words(token_ids: Sequence[int]) -> Script:
    """A script that says `token_ids` over and over."""
    return lambda prompt, said: token_ids[said % len(token_ids)]


class ScriptedEngine:
    """One token a step, for each request, `delay_s` apart; `max_seqs` at once, `max_waiting` in line.

    `pause` holds every step until `resume`; `die` breaks what runs and refuses until `revive`.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        delay_s: float = 0.0,
        max_seqs: int = 64,
        max_waiting: int = 256,
        lacks: frozenset[str] = LACKS,
    ) -> None:
        self._script = script or sum_of_prompt(256)
        self._delay_s = delay_s
        self._max_waiting = max_waiting
        self._places = asyncio.Semaphore(max_seqs)
        self._lacks = lacks
        self._going = asyncio.Event()
        self._going.set()
        self._death: EngineDied | None = None
        self._adapters: dict[str, Script] = {}
        self.live = 0
        """Requests that generate now."""
        self.waiting = 0
        """Requests in line."""
        self.prompts: list[tuple[int, ...]] = []
        """Every prompt that was taken on."""

    async def generate(
        self, request: EngineRequest, *, on_end: Callable[[], None] | None = None
    ) -> AsyncGenerator[Step, None]:
        """Say the script for `request.prompt`; see `Engine.generate`."""
        self._refuse(request)
        sampling = request.sampling
        script = self._adapters[sampling.adapter] if sampling.adapter is not None else self._script
        await self._take_place()
        try:
            self.prompts.append(tuple(request.prompt))
            for said in range(request.max_new_tokens):
                await self._turn()
                token = script(request.prompt, said)
                eos = token in sampling.stop_token_ids
                last = said + 1 == request.max_new_tokens
                if on_end is not None and (eos or last):
                    on_end()
                told = sampling.prefill_logprobs and not said
                of_prompt = (_LOGPROB,) * (len(request.prompt) - 1) if told else ()
                yield Step((token,), (_LOGPROB,), "eos" if eos else "length" if last else None, of_prompt)
                if eos:
                    return
        finally:
            self.live -= 1
            self._places.release()

    def adapters(self) -> frozenset[str]:
        """The names of those that were loaded."""
        return frozenset(self._adapters)

    async def load_adapter(self, name: str, weights: Path) -> None:
        """An adapter that says the output that the first of its `lora_B` raises most."""
        if name in self._adapters:
            raise Conflict(f"an adapter {name!r} is loaded already")
        self._adapters[name] = words((_loudest(weights),))

    async def unload_adapter(self, name: str) -> None:
        """Forget it; answers under way go on with it."""
        if name not in self._adapters:
            raise Missing(f"there is no adapter {name!r}")
        del self._adapters[name]

    async def healthy(self) -> bool:
        """Whether it has not died."""
        return self._death is None

    async def aclose(self) -> None:
        """End what runs with EngineDied."""
        self.die("the engine was closed")

    def pause(self) -> None:
        """Hold every step."""
        self._going.clear()

    def resume(self) -> None:
        """Let steps be made again."""
        self._going.set()

    def die(self, reason: str = "the engine died: its process was ended by SIGKILL") -> None:
        """Break what runs and refuse what comes."""
        self._death = EngineDied(reason)
        self._going.set()

    def revive(self) -> None:
        """Be as if restarted."""
        self._death = None

    def _refuse(self, request: EngineRequest) -> None:
        if self._death is not None:
            raise NotReady("the engine is being restarted")
        if not request.prompt or request.max_new_tokens < 1:
            raise Invalid("a prompt of at least one token and at least one new token are needed")
        sampling = request.sampling
        for option in sorted(self._lacks):
            if getattr(sampling, option) != _UNASKED[option]:
                raise Unsupported(option, ENGINE)
        if sampling.adapter is not None and sampling.adapter not in self._adapters:
            raise Unsupported("adapter", ENGINE, "no adapter of this name is loaded")

    async def _take_place(self) -> None:
        if self._places.locked() and self.waiting >= self._max_waiting:
            raise Overloaded(
                f"{self.live} requests run and {self.waiting} wait, which is all that is allowed"
            )
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        self.live += 1

    async def _turn(self) -> None:
        await asyncio.sleep(self._delay_s)
        await self._going.wait()
        if self._death is not None:
            raise self._death


def _loudest(weights: Path) -> int:
    try:
        tensors = safetensors.decode(memoryview(weights.read_bytes()))
    except (OSError, safetensors.Damaged) as error:
        raise Unusable(f"{weights} cannot be read: {error}") from error
    first = next(tensor for name, tensor in tensors.items() if name.endswith("lora_B.weight"))
    numbers = array("f", bytes(first.data))
    return numbers.index(max(numbers))
