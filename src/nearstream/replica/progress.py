"""Progress of one answer: its times, token by token, and how to interrupt the wait for the next token."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from nearstream.core.errors import GenerationFailed
from nearstream.core.ports import Clock
from nearstream.telemetry.metrics import CallMetrics
from nearstream.telemetry.spans import Span

ABORTED = "the request was aborted"


class Progress:
    """One answer in the making. `stepped` runs for every token: a look at the clock and a bisection."""

    __slots__ = (
        "_admitted_s",
        "_arrived_s",
        "_clock",
        "_first_s",
        "_interrupted",
        "_last_s",
        "_max_new_tokens",
        "_metrics",
        "_prompt_tokens",
        "_requested_s",
        "_task",
        "_tokens",
        "closed",
        "finished",
        "waiting",
    )  # fmt: skip

    def __init__(
        self, prompt_tokens: int, max_new_tokens: int, arrived_s: float, metrics: CallMetrics, clock: Clock
    ) -> None:
        metrics.input_length.observe(prompt_tokens)
        metrics.max_new_tokens.observe(max_new_tokens)
        self._metrics = metrics
        self._clock = clock
        self._arrived_s = arrived_s
        self._prompt_tokens = prompt_tokens
        self._max_new_tokens = max_new_tokens
        self._requested_s = clock()
        self._admitted_s: float | None = None
        self._first_s: float | None = None
        self._last_s = 0.0
        self._tokens = 0
        self._task = asyncio.current_task()
        self._interrupted = False
        self.waiting = True
        """Whether its reader waits for the engine now, not the engine for its reader."""
        self.finished = False
        """The engine made the last token."""
        self.closed = False
        """The reader wanted no more: a stop string came, or the client is gone."""

    @property
    def queued_s(self) -> float:
        """0 while it waits."""
        return 0.0 if self._admitted_s is None else self._admitted_s - self._requested_s

    def admitted(self) -> None:
        """It has its place in the batch."""
        self._admitted_s = self._clock()

    def stepped(self, tokens: int) -> None:
        """So many tokens came at once; the time since the last ones is shared among them."""
        now_s = self._clock()
        if self._tokens:
            if tokens:
                self._metrics.inter_token.observe((now_s - self._last_s) / tokens, tokens)
        elif tokens:
            self._first_s = now_s
            self._metrics.first_token.observe(now_s - self._arrived_s)
        self._last_s = now_s
        self._tokens += tokens

    def interrupt(self) -> None:
        """Make the wait for the engine raise CancelledError, now or the next time."""
        self._interrupted = True
        if self.waiting and self._task is not None:
            self._task.cancel()

    def check(self) -> None:
        """Raises GenerationFailed if interrupted while its reader was busy."""
        if self._interrupted:
            raise GenerationFailed(ABORTED)

    def cancelled(self, error: asyncio.CancelledError) -> BaseException:
        """What a cancelled wait means: an abort fails the answer, anything else still cancels the task."""
        if self._interrupted and self._task is not None and not self._task.uncancel():
            return GenerationFailed(ABORTED)
        return error

    def count(self) -> None:
        """Put the times of an answer that came out well into the metrics."""
        metrics, inference_s = self._metrics, self._last_s - self._requested_s - self.queued_s
        metrics.validation.observe(self._requested_s - self._arrived_s)
        metrics.queue.observe(self.queued_s)
        metrics.inference.observe(inference_s)
        metrics.mean_time_per_token.observe(inference_s / max(self._tokens, 1))
        metrics.generated_tokens.observe(self._tokens)

    def spans(self, now_s: float) -> tuple[Span, ...]:
        """Its parts so far: the queue, the prompt, the tokens."""
        attributes = {
            "queue": {"gen_ai.request.max_tokens": self._max_new_tokens},
            "prefill": {"gen_ai.usage.input_tokens": self._prompt_tokens},
            "decode": {"gen_ai.usage.output_tokens": self._tokens},
        }
        edges_s = self._requested_s, self._admitted_s, self._first_s, self._last_s
        return tuple(
            Span(name, now_s - began_s, 0.0 if ended_s is None else now_s - ended_s, about)
            for (name, about), (began_s, ended_s) in zip(attributes.items(), pairwise(edges_s), strict=True)
            if began_s is not None
        )
