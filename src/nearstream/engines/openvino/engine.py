"""The OpenVINO engine: an `Engine` whose model runs in a process of its own and is restarted when it dies."""

from __future__ import annotations

import asyncio
import random
import sys
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from nearstream.core.errors import EngineDied, Invalid, NotReady, Unusable
from nearstream.core.generation import Sampling, Step
from nearstream.engines.openvino.child import Child
from nearstream.engines.openvino.frames import Load, Loaded, ToWorker
from nearstream.engines.openvino.options import options_of, refuse_unsupported
from nearstream.engines.openvino.properties import cpu_properties
from nearstream.engines.openvino.requests import Answer, Requests
from nearstream.engines.openvino.settings import EngineSettings

_STEADY_S = 60.0

_log = structlog.get_logger(__name__)


class OpenVINOEngine:
    """Continuous batching on the CPU. Made by `open`, which also ends it."""

    def __init__(self, settings: EngineSettings, *, seed: Callable[[], int]) -> None:
        self._settings = settings
        self._seed = seed
        self._requests = Requests(self._send, max_seqs=settings.max_seqs, max_waiting=settings.max_waiting)
        self._child: Child | None = None
        self._loaded: Loaded | None = None
        self._closing = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: EngineSettings, *, seed: Callable[[], int] = lambda: random.getrandbits(63)
    ) -> AsyncIterator[OpenVINOEngine]:
        """Load the model, generate once, and keep its process running until the block is left.

        `seed` draws for sampled requests that bring none. Raises Unusable, in the loader's own words, when
        the model cannot be loaded.
        """
        engine = cls(settings, seed=seed)
        try:
            child = await engine._start()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(engine._supervise(child))
                try:
                    yield engine
                finally:
                    await engine.aclose()
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise
        finally:
            await engine.aclose()

    @property
    def live(self) -> int:
        """Requests that the model's process holds."""
        return self._requests.running

    @property
    def waiting(self) -> int:
        """Requests that wait for a place among them."""
        return self._requests.waiting

    @property
    def request_tokens(self) -> int:
        """Prompt and answer of one request can be this long together."""
        return self._settings.request_tokens

    @property
    def pid(self) -> int | None:
        """The model's process, None while there is none."""
        return self._child.pid if self._child else None

    async def healthy(self) -> bool:
        """Whether the model's process is loaded and there."""
        return self._loaded is not None and not self._closing.is_set()

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        max_new_tokens: int,
        on_end: Callable[[], None] | None = None,
    ) -> AsyncGenerator[Step, None]:
        """Continue `prompt`; see `Engine.generate`."""
        answer = self._admit(prompt, sampling, max_new_tokens)
        answer.on_end = on_end
        try:
            while True:
                step = await answer.steps.get()
                if not isinstance(step, Step):
                    raise step
                yield step
                if step.finish is not None:
                    return
        finally:
            self._requests.drop(answer)

    async def aclose(self) -> None:
        """End the process; requests that run raise EngineDied."""
        self._closing.set()
        self._loaded = None
        self._requests.fail(EngineDied("the engine was closed"))
        if self._child is not None:
            await self._child.end()

    def _admit(self, prompt: Sequence[int], sampling: Sampling, max_new_tokens: int) -> Answer:
        loaded = self._loaded
        if loaded is None:
            raise NotReady("the engine is being restarted")
        refuse_unsupported(sampling, grammar=loaded.grammar)
        self._refuse_unfit(len(prompt), max_new_tokens)
        options = options_of(sampling, max_new_tokens=max_new_tokens, seed=self._seed())
        return self._requests.add(_little_endian(prompt), options)

    def _refuse_unfit(self, prompt_tokens: int, max_new_tokens: int) -> None:
        if prompt_tokens < 1 or max_new_tokens < 1:
            raise Invalid("a prompt of at least one token and at least one new token are needed")
        if prompt_tokens + max_new_tokens > self.request_tokens:
            raise Invalid(
                f"{prompt_tokens} prompt tokens and {max_new_tokens} new ones are more than the "
                f"{self.request_tokens} that one request can have here"
            )

    def _send(self, frame: ToWorker) -> None:
        if self._child is not None:
            self._child.send(frame)

    async def _start(self) -> Child:
        """Start a process and wait until it has loaded."""
        settings = self._settings
        load = Load(
            model=str(settings.model),
            kv_blocks=settings.kv_blocks,
            max_batched_tokens=settings.max_batched_tokens,
            max_seqs=settings.max_seqs,
            prefix_caching=settings.prefix_caching,
            vocab_size=settings.vocab_size,
            properties=cpu_properties(settings),
        )
        self._child = child = await Child.start(load, self._requests.advance)
        try:
            self._loaded = await child.loaded(timeout_s=settings.start_timeout_s)
        except BaseException:
            child.kill()
            await child.end()
            raise
        _log.info(
            "engine ready",
            model=settings.model.name,
            pid=child.pid,
            load_s=round(self._loaded.load_s, 3),
            warm_up_s=round(self._loaded.warm_up_s, 3),
            kv_cache_bytes=self._loaded.kv_cache_bytes,
            request_tokens=self.request_tokens,
        )
        return child

    async def _supervise(self, child: Child) -> None:
        """Start the process anew whenever it ends, until the engine is closed."""
        delay_s, clock = self._settings.restart_delay_s, asyncio.get_running_loop().time
        while True:
            began = clock()
            reason = await child.ended()
            self._loaded = None
            if self._closing.is_set():
                return
            _log.error("engine died", pid=child.pid, reason=reason)
            self._requests.fail(EngineDied(f"the engine died: {reason}"))
            if clock() - began > _STEADY_S:
                delay_s = self._settings.restart_delay_s
            while not await self._closed_within(delay_s):
                delay_s = min(delay_s * 2, self._settings.max_restart_delay_s)
                try:
                    child = await self._start()
                except Unusable as error:
                    _log.warning("engine restart failed", reason=str(error), next_try_s=delay_s)
                else:
                    break

    async def _closed_within(self, delay_s: float) -> bool:
        try:
            async with asyncio.timeout(delay_s):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True


def _little_endian(token_ids: Sequence[int]) -> bytes:
    ids = array("q", token_ids)
    if sys.byteorder == "big":
        ids.byteswap()
    return ids.tobytes()
