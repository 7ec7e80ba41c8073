"""The OpenVINO engine: an `Engine` whose model runs in a process of its own and is restarted when it dies."""

from __future__ import annotations

import asyncio
import itertools
import random
from array import array
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from nearstream.core.errors import (
    EngineDied,
    GenerationFailed,
    Invalid,
    NearstreamError,
    NotReady,
    Overloaded,
    Unusable,
)
from nearstream.core.generation import Sampling, Step
from nearstream.engines.openvino.child import Child
from nearstream.engines.openvino.frames import (
    Cancel,
    Failure,
    FailureKind,
    Load,
    Loaded,
    Stepped,
    Submit,
)
from nearstream.engines.openvino.options import options_of, refuse_unsupported
from nearstream.engines.openvino.properties import cpu_properties
from nearstream.engines.openvino.settings import EngineSettings

_ERRORS: dict[FailureKind, type[NearstreamError]] = {
    "invalid": Invalid,
    "overloaded": Overloaded,
    "failed": GenerationFailed,
}

_log = structlog.get_logger(__name__)


class Answer:
    """The steps of one request that its reader has not taken yet; at most one for each token asked for."""

    __slots__ = ("steps", "submit", "submitted")

    def __init__(self, submit: Submit) -> None:
        self.submit = submit
        self.submitted = False
        self.steps: asyncio.Queue[Step | NearstreamError] = asyncio.Queue()


class OpenVINOEngine:
    """Continuous batching on the CPU. Made by `open`, which also ends it."""

    def __init__(self, settings: EngineSettings, *, seed: Callable[[], int]) -> None:
        self._settings = settings
        self._seed = seed
        self._ids = itertools.count(1)
        self._running: dict[int, Answer] = {}
        self._waiting: deque[Answer] = deque()
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
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that wait for a place among them."""
        return len(self._waiting)

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
        self, prompt: Sequence[int], sampling: Sampling, *, max_new_tokens: int
    ) -> AsyncGenerator[Step, None]:
        """Continue `prompt`; see `Engine.generate`."""
        answer = self._admit(prompt, sampling, max_new_tokens)
        try:
            while True:
                step = await answer.steps.get()
                if not isinstance(step, Step):
                    raise step
                yield step
                if step.finish is not None:
                    return
        finally:
            self._leave(answer)

    async def aclose(self) -> None:
        """End the process; requests that run raise EngineDied."""
        self._closing.set()
        self._loaded = None
        self._fail_all(EngineDied("the engine was closed"))
        if self._child is not None:
            await self._child.end()

    def _admit(self, prompt: Sequence[int], sampling: Sampling, max_new_tokens: int) -> Answer:
        loaded = self._loaded
        if loaded is None:
            raise NotReady("the engine is being restarted")
        refuse_unsupported(sampling, grammar=loaded.grammar)
        self._refuse_unfit(len(prompt), max_new_tokens)
        if len(self._waiting) >= self._settings.max_waiting:
            raise Overloaded(
                f"{self.live} requests run and {self.waiting} wait, which is all that is allowed"
            )
        options = options_of(sampling, max_new_tokens=max_new_tokens, seed=self._seed())
        answer = Answer(Submit(next(self._ids), _little_endian(prompt), options))
        self._waiting.append(answer)
        self._submit_waiting()
        return answer

    def _refuse_unfit(self, prompt_tokens: int, max_new_tokens: int) -> None:
        if prompt_tokens < 1 or max_new_tokens < 1:
            raise Invalid("a prompt of at least one token and at least one new token are needed")
        if prompt_tokens + max_new_tokens > self.request_tokens:
            raise Invalid(
                f"{prompt_tokens} prompt tokens and {max_new_tokens} new ones are more than the "
                f"{self.request_tokens} that one request can have here"
            )

    def _submit_waiting(self) -> None:
        while self._waiting and self._child and len(self._running) < self._settings.max_seqs:
            answer = self._waiting.popleft()
            answer.submitted = True
            self._running[answer.submit.id] = answer
            self._child.send(answer.submit)

    def _leave(self, answer: Answer) -> None:
        """Forget a request that its reader has left; the process frees it within a step."""
        if not answer.submitted:
            if answer in self._waiting:
                self._waiting.remove(answer)
        elif answer.submit.id in self._running and self._child is not None:
            self._child.send(Cancel(answer.submit.id))

    def _on_step(self, stepped: Stepped) -> None:
        running = self._running
        for advance in stepped.advances:
            answer = running.get(advance.id)
            if answer is None:
                continue
            ending = advance.ending
            if ending is not None:
                del running[advance.id]
            if ending != "cancelled":
                answer.steps.put_nowait(Step(advance.token_ids, advance.logprobs, ending))
        for failure in stepped.failures:
            self._on_failure(failure)
        self._submit_waiting()

    def _on_failure(self, failure: Failure) -> None:
        answer = self._running.pop(failure.id, None)
        if answer is not None:
            answer.steps.put_nowait(_ERRORS[failure.kind](failure.message))

    def _fail_all(self, error: NearstreamError) -> None:
        for answer in (*self._running.values(), *self._waiting):
            answer.steps.put_nowait(error)
        self._running.clear()
        self._waiting.clear()

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
        self._child = child = await Child.start(load, self._on_step)
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
        delay_s = self._settings.restart_delay_s
        while True:
            reason = await child.ended()
            self._loaded = None
            if self._closing.is_set():
                return
            _log.error("engine died", pid=child.pid, reason=reason)
            self._fail_all(EngineDied(f"the engine died: {reason}"))
            while True:
                if await self._closed_within(delay_s):
                    return
                delay_s = min(delay_s * 2, self._settings.max_restart_delay_s)
                try:
                    child = await self._start()
                except Unusable as error:
                    _log.exception("engine restart failed", reason=str(error), next_try_s=delay_s)
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
    return ids.tobytes()
