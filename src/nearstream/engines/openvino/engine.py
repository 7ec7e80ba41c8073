"""The OpenVINO engine: an `Engine` whose model runs in a process of its own and is restarted when it dies."""

from __future__ import annotations

import asyncio
import random
import sys
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import structlog

from nearstream.core.errors import EngineDied, Invalid, NotReady, Unusable
from nearstream.core.generation import EngineRequest, Step
from nearstream.engines.grammars.process import GrammarProcess, grammar_process
from nearstream.engines.openvino.frames import Load, Loaded, Stepped, ToWorker
from nearstream.engines.openvino.loaded_adapters import LoadedAdapters
from nearstream.engines.openvino.options import options_of, refuse_unsupported
from nearstream.engines.openvino.process import EngineProcess
from nearstream.engines.openvino.properties import cpu_properties
from nearstream.engines.openvino.requests import Requests
from nearstream.engines.openvino.settings import OpenVINOSettings
from nearstream.engines.settings import EngineSettings, PreparedEngine
from nearstream.tasks import alongside

_STEADY_S = 60.0

_log = structlog.get_logger(__name__)


class OpenVINOEngine:
    """Continuous batching on the CPU. Made by `open`, which also ends it."""

    def __init__(
        self, settings: OpenVINOSettings, grammars: GrammarProcess, *, seed: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._requests = Requests(self._send, max_seqs=settings.max_seqs, max_waiting=settings.max_waiting)
        self._adapters = LoadedAdapters(self._send)
        self._grammars = grammars
        self._process: EngineProcess | None = None
        self._loaded: Loaded | None = None
        self._replaced: EngineProcess | None = None
        """The process that was ended to free the memory of its grammars."""
        self._closing = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: OpenVINOSettings, *, seed: Callable[[], int] = lambda: random.getrandbits(63)
    ) -> AsyncIterator[OpenVINOEngine]:
        """Load the model, generate once, and keep its process running until the block is left.

        `seed` draws for sampled requests that bring none. Raises Unusable, in the loader's own words, when
        the model cannot be loaded.
        """
        async with grammar_process() as grammars:
            engine = cls(settings, grammars, seed=seed)
            try:
                process = await engine._start()
                async with alongside() as tasks:
                    tasks.create_task(engine._supervise(process))
                    try:
                        yield engine
                    finally:
                        await engine.aclose()
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
        return self._process.pid if self._process else None

    async def healthy(self) -> bool:
        """Whether the model's process is loaded and there."""
        return self._loaded is not None and not self._closing.is_set()

    async def generate(
        self, request: EngineRequest, *, on_end: Callable[[], None] | None = None
    ) -> AsyncGenerator[Step, None]:
        """See `Engine.generate`."""
        loaded = self._ready()
        sampling = request.sampling
        with self._adapters.held_for(sampling.adapter) as adapter:
            refuse_unsupported(sampling, grammar=loaded.grammar)
            self._refuse_unfit(len(request.prompt), request.max_new_tokens)
            grammar = None if sampling.grammar is None else await self._grammars.ebnf(sampling.grammar)
            self._ready()  # the process may have ended while the grammar was written
            options = options_of(
                sampling, max_new_tokens=request.max_new_tokens, seed=self._seed(), grammar=grammar
            )
            answer = self._requests.add(_little_endian(request.prompt), options, adapter=adapter)
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

    def adapters(self) -> frozenset[str]:
        """The adapters that requests can name."""
        return self._adapters.names

    async def load_adapter(self, name: str, weights: Path) -> None:
        """See `AdapterHost.load_adapter`. The first one takes as long as loading the model did."""
        self._ready()
        if not self._settings.adaptable:
            raise Unusable(f"{self._settings.model.name} takes no adapters: its modules have no known names")
        clock = asyncio.get_running_loop().time
        started = clock()
        await self._adapters.load(name, weights)
        _log.info("adapter loaded", adapter=name, load_s=round(clock() - started, 3))

    async def unload_adapter(self, name: str) -> None:
        """See `AdapterHost.unload_adapter`."""
        self._adapters.unload(name)
        _log.info("adapter unloaded", adapter=name)

    async def aclose(self) -> None:
        """End the process; requests that run raise EngineDied."""
        self._closing.set()
        self._loaded = None
        self._fail(EngineDied("the engine was closed"))
        if self._process is not None:
            await self._process.end()

    def _ready(self) -> Loaded:
        if self._loaded is None:
            raise NotReady("the engine is being restarted")
        return self._loaded

    def _fail(self, error: EngineDied) -> None:
        """End all that waits for the model's process."""
        self._requests.fail(error)
        self._adapters.fail(error)

    def _refuse_unfit(self, prompt_tokens: int, max_new_tokens: int) -> None:
        if prompt_tokens < 1 or max_new_tokens < 1:
            raise Invalid("a prompt of at least one token and at least one new token are needed")
        if prompt_tokens + max_new_tokens > self.request_tokens:
            raise Invalid(
                f"{prompt_tokens} prompt tokens and {max_new_tokens} new ones are more than the "
                f"{self.request_tokens} that one request can have here"
            )

    def _send(self, frame: ToWorker) -> None:
        if self._process is not None:
            self._process.send(frame)

    def _advance(self, stepped: Stepped) -> None:
        self._requests.advance(stepped)
        if stepped.grammars_full and not self._requests.running and self._loaded is not None:
            self._replaced, self._loaded = self._process, None
            if self._process is not None:
                self._process.kill()

    async def _start(self) -> EngineProcess:
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
            adaptable=dict(settings.adaptable),
            adapter_pipelines=settings.adapter_pipelines,
            adapter_kv_blocks=settings.adapter_kv_blocks,
            grammar_bytes=settings.grammar_bytes,
        )
        self._process = process = await EngineProcess.start(load, self._advance, self._adapters.tried)
        try:
            loaded = await process.loaded(timeout_s=settings.start_timeout_s)
            await process.unless_ended(self._adapters.load_again())
        except BaseException:
            process.kill()
            await process.end()
            raise
        self._loaded = loaded
        _log.info(
            "engine ready",
            model=settings.model.name,
            pid=process.pid,
            load_s=round(loaded.load_s, 3),
            warm_up_s=round(loaded.warm_up_s, 3),
            kv_cache_bytes=loaded.kv_cache_bytes,
            request_tokens=self.request_tokens,
        )
        return process

    async def _supervise(self, process: EngineProcess) -> None:
        """Restart the process whenever it ends, until the engine is closed."""
        delay_s, clock = self._settings.restart_delay_s, asyncio.get_running_loop().time
        while True:
            began = clock()
            reason = await process.gone()
            self._loaded = None
            if self._closing.is_set():
                return
            self._fail(EngineDied(f"the engine died: {reason}"))
            if clock() - began > _STEADY_S:
                delay_s = self._settings.restart_delay_s
            if process is self._replaced:
                wait_s = 0.0
                _log.info("engine replaced", pid=process.pid, reason="memory of grammars")
            else:
                wait_s = delay_s
                _log.error("engine died", pid=process.pid, reason=reason)
            while not await self._closed_within(wait_s):
                wait_s = delay_s = min(delay_s * 2, self._settings.max_restart_delay_s)
                try:
                    process = await self._start()
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


def prepare(settings: EngineSettings) -> PreparedEngine:
    """The engine for a model, by the settings that all engines have and the defaults of this one."""
    own = OpenVINOSettings(
        model=settings.model,
        context_tokens=settings.context_tokens,
        vocab_size=settings.vocab_size,
        kv_bytes_per_token=settings.kv_bytes_per_token,
        max_seqs=settings.max_seqs,
        adaptable=settings.adaptable,
        adapter_pipelines=settings.active_adapters,
        start_timeout_s=settings.start_timeout_s,
    )
    return PreparedEngine(own.request_tokens, partial(OpenVINOEngine.open, own))


def _little_endian(token_ids: Sequence[int]) -> bytes:
    ids = array("q", token_ids)
    if sys.byteorder == "big":
        ids.byteswap()
    return ids.tobytes()
