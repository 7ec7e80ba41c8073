"""Loads a model and its adapters, and steps a batch of requests. `configs` and this know openvino_genai.

`ContinuousBatchingPipeline.step()` holds the GIL for its whole length, so this runs in the worker process.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
import openvino_genai as genai

from nearstream.engines.openvino.branches import Branches
from nearstream.engines.openvino.configs import (
    generation_config,
    plugin_properties,
    scheduler_config,
    search_config,
)
from nearstream.engines.openvino.frames import (
    Advance,
    Ending,
    Failure,
    FailureKind,
    Load,
    Loaded,
    Options,
    Stepped,
    Submit,
)
from nearstream.engines.openvino.handles import Handle, drawn_tokens
from nearstream.engines.openvino.precompiling import (
    Compiling,
    MemoryFull,
    Precompiler,
    precompiler_of,
    vocabulary_of,
)
from nearstream.engines.openvino.recovery import Request, reason_of, split_after_fault
from nearstream.engines.openvino.search import Draw, Search
from nearstream.engines.openvino.typical import UNKNOWN_VOCABULARY, chosen
from nearstream.formats import safetensors

if TYPE_CHECKING:
    import numpy.typing as npt

_WARM_UP = Options(max_new_tokens=2)
_WARM_UP_ID = 0
_SETTLE_S = 0.5
_SETTLE_POLL_S = 0.002
_UNUSABLE_KEPT = 256
_NO_ROOM = "the KV cache has no room left for this request"


def load(wanted: Load) -> tuple[Batch, Loaded]:
    """Load the model and generate once, so that the first request finds everything compiled.

    Raises RuntimeError with OpenVINO's reason.
    """
    started = time.perf_counter()
    scheduler = scheduler_config(wanted, wanted.kv_blocks, prefix_caching=wanted.prefix_caching)
    pipeline = genai.ContinuousBatchingPipeline(wanted.model, scheduler, "CPU", plugin_properties(wanted))
    loaded = time.perf_counter()
    branches = Branches() if wanted.prefix_caching else Branches(kept=0)
    vocabulary = vocabulary_of(wanted)
    precompiler = precompiler_of(wanted, pipeline, vocabulary)
    batch = Batch(pipeline, branches, vocab_size=wanted.vocab_size or vocabulary, precompiler=precompiler)
    batch.submit(Submit(_WARM_UP_ID, np.ones(8, dtype=np.int64).tobytes(), _WARM_UP))
    while batch.busy:
        failures = batch.step().failures
        if failures:
            raise RuntimeError(failures[0].message)
    return batch, Loaded(
        load_s=loaded - started,
        warm_up_s=time.perf_counter() - loaded,
        kv_cache_bytes=pipeline.get_metrics().cache_size_in_bytes,
        grammar=precompiler is not None,
    )


def open_adapter_pipeline(wanted: Load) -> Batch:
    """The model once more, in which one adapter after another can be active. Raises RuntimeError.

    OpenVINO gives a weight a place for an adapter only if one that changes it is named now: so an adapter of
    zeros for every one. It keeps the prefixes of prompts by their tokens alone, which is wrong once the
    adapter changes; so they are not kept.
    """
    zeros = {
        f"base_model.model.{module}.{part}.weight": safetensors.Tensor("F32", shape, bytes(4 * max(shape)))
        for module, (outputs, inputs) in wanted.adaptable.items()
        for part, shape in (("lora_A", (1, inputs)), ("lora_B", (outputs, 1)))
    }
    file = np.frombuffer(b"".join(safetensors.encode(zeros)), dtype=np.uint8)
    blank = genai.Adapter(openvino.Tensor(file.copy()))
    return _uncached(wanted, plugin_properties(wanted) | {"adapters": _worn(blank)})


def open_prompt_pipeline(wanted: Load) -> Batch:
    """The model once more, without a cache of prefixes, which computes every token of a prompt.

    Its cache of keys and values is a small one. Raises RuntimeError.
    """
    return _uncached(wanted, plugin_properties(wanted))


def _uncached(wanted: Load, properties: dict[str, Any]) -> Batch:
    scheduler = scheduler_config(wanted, wanted.adapter_kv_blocks, prefix_caching=False)
    try:
        pipeline = genai.ContinuousBatchingPipeline(wanted.model, scheduler, "CPU", properties)
    except RuntimeError as error:
        raise RuntimeError(reason_of(error)) from error
    vocabulary = vocabulary_of(wanted)
    precompiler = precompiler_of(wanted, pipeline, vocabulary)
    known = wanted.vocab_size or vocabulary
    return Batch(pipeline, Branches(kept=0), vocab_size=known, precompiler=precompiler)


def read_adapter(weights: str) -> genai.Adapter:
    """The adapter in a safetensors file. Raises RuntimeError where OpenVINO cannot read it."""
    try:
        return genai.Adapter(weights)
    except RuntimeError as error:
        raise RuntimeError(reason_of(error)) from error


def _worn(adapter: genai.Adapter) -> genai.AdapterConfig:
    return genai.AdapterConfig([(adapter, 1.0)], genai.AdapterConfig.Mode.MODE_DYNAMIC)


@dataclass(frozen=True, slots=True)
class Run:
    """OpenVINO at work on a request; for a search also what it finds for it."""

    request: Request
    handle: Handle
    draw: Draw | None


class Batch:
    """The requests that generate together."""

    def __init__(
        self,
        pipeline: genai.ContinuousBatchingPipeline,
        branches: Branches,
        *,
        vocab_size: int | None,
        precompiler: Precompiler | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._vocab_size = vocab_size
        self._vocabulary = vocab_size or UNKNOWN_VOCABULARY
        self._runs: dict[int, tuple[Run, ...]] = {}
        self._advances: list[Advance] = []
        self._failures: list[Failure] = []
        self._suspects: deque[Request] = deque()
        self._branches = branches
        self._held: deque[Request] = deque()
        self._compiling = Compiling(precompiler)
        self._unusable: dict[str, str] = {}
        self._last_run = 0

    @property
    def busy(self) -> bool:
        """Whether a step has something to do or to report."""
        unreported = self._advances or self._failures
        waiting = self._suspects or self._held or self._compiling.busy
        return bool(self._runs or waiting or unreported or self._pipeline.has_non_finished_requests())

    def activate(self, adapter: genai.Adapter) -> None:
        """Answer with `adapter` from now on, and generate a token with it. Only while no request is held.

        OpenVINO sets adapters in `generate` alone; it ignores those of added requests.
        Raises RuntimeError.
        """
        config = generation_config(Options(max_new_tokens=1))
        config.adapters = _worn(adapter)
        try:
            self._pipeline.generate([openvino.Tensor(np.ones((1, 1), dtype=np.int64))], [config])
        except RuntimeError as error:
            raise RuntimeError(reason_of(error)) from error

    def submit(self, frame: Submit) -> None:
        """Take a request on; one that cannot be is reported by the next step."""
        prompt = np.frombuffer(frame.prompt, dtype="<i8")
        try:
            self._refuse_foreign(prompt)
            self._refuse_unusable(frame.options)
            request = Request(frame.id, prompt, frame.options)
            if self._compiling.takes(request):
                self._compiling.add(request)
            elif self._suspects and request.suspect:
                self._suspects.append(request)
            else:
                self._add(request)
        except MemoryFull as error:
            self._failures.append(Failure(frame.id, "overloaded", str(error)))
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            self._failures.append(Failure(frame.id, "invalid", reason_of(error)))

    def cancel(self, request_id: int) -> None:
        """Drop a request; the next step frees what it holds."""
        if request_id in self._runs:
            for run in self._forget(request_id):
                run.handle.cancel()
        elif not self._compiling.cancel(request_id):
            for line in (self._suspects, self._held):
                waiting = next((one for one in line if one.id == request_id), None)
                if waiting is not None:
                    line.remove(waiting)
                    break
            else:
                return
        self._advances.append(Advance(request_id, (), (), "cancelled"))

    def step(self) -> Stepped:
        """Run the model once over the batch; what advanced, ended or failed since the last step."""
        idle = not (self._runs or self._held or self._suspects or self._failures)
        compiled, unusable = self._compiling.done(wait=idle)
        self._failures += unusable
        for request in compiled:
            self._add(request)
        held, self._held = self._held, deque()
        for request in held:
            self._add(request)
        if self._suspects and not any(runs[0].request.suspect for runs in self._runs.values()):
            self._add(self._suspects.popleft())
        try:
            self._pipeline.step()
        except RuntimeError as error:
            self._recover(reason_of(error))
        self._read_all()
        stepped = Stepped(self._advances, self._failures, self._compiling.full)
        self._advances, self._failures = [], []
        return stepped

    def _read_all(self) -> None:
        for runs in tuple(self._runs.values()):
            request = runs[0].request
            if request.search is None:
                self._read(request, runs[0].handle)
            elif all(run.handle.can_read() for run in runs):
                self._read_candidates(request, request.search, runs)
            elif any(run.handle.get_status() == genai.GenerationStatus.IGNORED for run in runs):
                self._fail(request, "overloaded", _NO_ROOM)

    def _read(self, request: Request, handle: Handle) -> None:
        ending: Ending | None = None
        while handle.can_read():
            for output in handle.read().values():
                ids, logprobs, of_prompt = request.without_echo(output)
                ending = _ENDINGS.get(output.finish_reason.value)
                try:
                    known = request.take(ids)
                except ValueError as error:
                    self._fail(request, "failed", str(error))
                    return
                self._branches.release(request.id)
                if known < len(ids):
                    self._advances.append(
                        Advance(request.id, tuple(ids[known:]), tuple(logprobs[known:]), ending, of_prompt)
                    )
        if ending is not None:
            self._forget(request.id)
        elif handle.get_status() == genai.GenerationStatus.IGNORED:
            self._fail(request, "overloaded", _NO_ROOM)

    def _read_candidates(self, request: Request, search: Search, runs: Sequence[Run]) -> None:
        """Choose the next token of a request that goes one at a time, and send it on its way again."""
        self._branches.release(request.id)
        self._branches.paused(request.id, request.tokens)
        drawn = [(run.draw, drawn_tokens(run.handle)) for run in runs if run.draw is not None]
        if search.read(drawn) and search.unfinished(self._vocabulary):
            self._again(request)
            return
        options, width = request.options, search.width or 0
        token = chosen(search.candidates, options, position=request.made, vocabulary=self._vocabulary)
        if token is not None:
            request.take([token])
            self._advances.append(Advance(request.id, (token,), (search.logprob(token),), request.ending))
        search.begin(after=width if token is None else 0)
        if search.width is None:
            self._fail(
                request, "failed", f"typical_p: more than {width} tokens could be chosen; give a top_k"
            )
            return
        if token is not None and request.ending is not None:
            self._forget(request.id)
            return
        self._again(request)

    def _again(self, request: Request) -> None:
        del self._runs[request.id]
        self._add(request)

    def _fail(self, request: Request, kind: FailureKind, message: str) -> None:
        self._forget(request.id)
        self._failures.append(Failure(request.id, kind, message))

    def _forget(self, request_id: int) -> tuple[Run, ...]:
        """A request is over; what it was doing."""
        runs = self._runs.pop(request_id)
        self._branches.release(request_id)
        self._branches.ended(request_id, runs[0].request.tokens)
        return runs

    def _add(self, request: Request) -> None:
        """Hand a request to the pipeline, once or as often as its search needs, or hold it for a step."""
        running = (runs[0].request for runs in self._runs.values())
        prompt = None if request.search is None else len(request) - request.made
        if any(map(request.continues, running)) or not self._branches.claim(
            request.id, request.tokens, prompt_tokens=prompt
        ):
            self._held.append(request)
            return
        draws = [None] if request.search is None else request.search.unfinished(self._vocabulary)
        self._runs[request.id] = tuple(self._run(request, draw) for draw in draws)

    def _run(self, request: Request, draw: Draw | None) -> Run:
        """Under a run number of its own: OpenVINO breaks on one used twice."""
        self._last_run += 1
        tokens, options = request.next_run()
        tensor = openvino.Tensor(tokens.reshape(1, -1))
        if request.search is None or draw is None:
            config = generation_config(options)
        else:
            config = search_config(options, draw, width=request.search.width or 0, seed=self._last_run)
        return Run(request, self._pipeline.add_request(self._last_run, tensor, config), draw)

    def _recover(self, reason: str) -> None:
        """Go on after a step that raised. OpenVINO cannot, so all is dropped and the rest added again."""
        self._settle()
        self._read_all()
        for runs in self._runs.values():
            for run in runs:
                run.handle.cancel()
        split = split_after_fault([runs[0].request for runs in self._runs.values()], reason)
        for request_id in tuple(self._runs):
            self._forget(request_id)
        if split.blamed is not None and split.blamed.grammar is not None:
            self._unusable[split.blamed.grammar] = reason
            if len(self._unusable) > _UNUSABLE_KEPT:
                del self._unusable[next(iter(self._unusable))]
        self._pipeline.step()
        self._failures += split.failures
        self._suspects += split.suspects
        for request in split.resumed:
            self._add(request)

    def _settle(self) -> None:
        """Wait for OpenVINO's sampling threads.

        A step that raises leaves them at work on the other requests, and freeing those meanwhile crashes.
        They are done when each request that was generating has its token.
        """
        sampled = [run.handle for runs in self._runs.values() for run in runs if run.request.begun]
        deadline = time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline and not all(handle.can_read() for handle in sampled):
            time.sleep(_SETTLE_POLL_S)
        time.sleep(_SETTLE_POLL_S * 10)

    def _refuse_unusable(self, options: Options) -> None:
        reason = self._unusable.get(options.grammar or "")
        if reason is not None:
            raise ValueError(f"the grammar cannot be used: {reason}")

    def _refuse_foreign(self, prompt: npt.NDArray[np.int64]) -> None:
        """OpenVINO reads beyond its embeddings for an id that the model has not."""
        if not prompt.size:
            raise ValueError("the prompt has no tokens")
        lowest, highest = int(prompt.min()), int(prompt.max())
        if lowest < 0 or (self._vocab_size is not None and highest >= self._vocab_size):
            foreign = lowest if lowest < 0 else highest
            raise ValueError(
                f"the prompt has token id {foreign}, the model's are 0 to {(self._vocab_size or 0) - 1}"
            )


_ENDINGS: dict[int, Ending] = {
    genai.GenerationFinishReason.STOP.value: "eos",
    genai.GenerationFinishReason.LENGTH.value: "length",
}
