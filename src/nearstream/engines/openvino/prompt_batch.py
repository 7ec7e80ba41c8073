"""Requests that want the log-probabilities of their prompts, in a pipeline that caches no prefixes.

OpenVINO computes nothing for the tokens of a prompt that it finds in its cache, so these requests cannot run
in the base model's batch. Their pipeline is opened beside the running batch when the first of them comes,
and kept: it takes about as much memory as the model's weights.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from nearstream.engines.openvino.adapter_scheduler import Batch
from nearstream.engines.openvino.frames import Advance, Failure, Stepped, Submit

_OPENING_POLL_S = 0.005


class PromptBatch:
    """A `Batch` of the base model's requests: those that want their prompt's log-probabilities run apart."""

    def __init__(self, base: Batch, open_pipeline: Callable[[], Batch]) -> None:
        self._base = base
        self._open_pipeline = open_pipeline
        self._prompts: Batch | None = None
        self._opener = ThreadPoolExecutor(1)
        self._opening: Future[Batch] | None = None
        self._queue: deque[Submit] = deque()
        self._advances: list[Advance] = []
        self._failures: list[Failure] = []

    @property
    def busy(self) -> bool:
        """Whether a step has something to do or to tell."""
        pending = self._queue or self._opening or self._advances or self._failures
        return bool(pending or self._base.busy or (self._prompts is not None and self._prompts.busy))

    def submit(self, frame: Submit) -> None:
        if not frame.options.prompt_logprobs:
            self._base.submit(frame)
            return
        self._queue.append(frame)
        if self._prompts is None and self._opening is None:
            self._opening = self._opener.submit(self._open_pipeline)

    def cancel(self, request_id: int) -> None:
        waiting = next((frame for frame in self._queue if frame.id == request_id), None)
        if waiting is not None:
            self._queue.remove(waiting)
            self._advances.append(Advance(request_id, (), (), "cancelled"))
            return
        self._base.cancel(request_id)
        if self._prompts is not None:
            self._prompts.cancel(request_id)

    def step(self) -> Stepped:
        """Run each batch that has work once; what there is to report."""
        self._finish_opening()
        grammars_full = False
        while self._prompts is not None and self._queue:
            self._prompts.submit(self._queue.popleft())
        for batch in (self._base, self._prompts):
            if batch is not None and batch.busy:
                made = batch.step()
                self._advances += made.advances
                self._failures += made.failures
                grammars_full |= made.grammars_full
        stepped = Stepped(self._advances, self._failures, grammars_full)
        self._advances, self._failures = [], []
        return stepped

    def _finish_opening(self) -> None:
        """Use the pipeline once it is open; wait for it a little where there is nothing else to do."""
        opening = self._opening
        if opening is None:
            return
        if not self._base.busy:
            wait([opening], timeout=_OPENING_POLL_S)
        if not opening.done():
            return
        self._opening = None
        try:
            self._prompts = opening.result()
        except RuntimeError as error:
            reason = f"the log-probabilities of a prompt need a second pipeline: {error}"
            self._failures += [Failure(frame.id, "failed", reason) for frame in self._queue]
            self._queue.clear()
