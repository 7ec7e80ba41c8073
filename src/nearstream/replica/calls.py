"""Calls in progress, each with an id by which it can be aborted, and the outcome of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web

from nearstream.core.errors import (
    GenerationFailed,
    Invalid,
    Missing,
    NotReady,
    Overloaded,
    TemplateFailed,
)
from nearstream.core.ports import Clock
from nearstream.replica.progress import ABORTED, Progress
from nearstream.replica.scheduler import Priority
from nearstream.telemetry.metrics import CallMetrics
from nearstream.telemetry.spans import Span, Trace, untraced

# The first row whose class fits counts.
_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (TemplateFailed, "template"),
    (Invalid, "validation"),
    (web.HTTPClientError, "validation"),
    (Overloaded, "overloaded"),
    (NotReady, "unready"),
    (GenerationFailed, "generation"),
    (ConnectionError, "dropped"),
)
_CAUSES_BY_STATUS = {422: "validation", 424: "generation", 429: "overloaded", 503: "unready"}


class Call:
    """One request to generate, from its arrival to its end."""

    def __init__(self, call_id: str, priority: Priority, *, metrics: CallMetrics, clock: Clock) -> None:
        self.id = call_id
        self.priority = priority
        self.arrived_s = clock()
        self.aborted = False
        self.cause: str | None = None
        """Why it failed, as `tgi_request_failure` counts it; None while it has not failed."""
        self.answers: list[Progress] = []
        self._metrics = metrics
        self._clock = clock

    @property
    def queued_s(self) -> float:
        """How long its slowest answer waited for a place."""
        return max((answer.queued_s for answer in self.answers), default=0.0)

    def begin(self, prompt_tokens: int, max_new_tokens: int) -> Progress:
        """Start another answer of this call. Raises GenerationFailed once it is aborted."""
        if self.aborted:
            raise GenerationFailed(ABORTED)
        progress = Progress(prompt_tokens, max_new_tokens, self.arrived_s, self._metrics, self._clock)
        self.answers.append(progress)
        return progress

    def failed(self, error: BaseException) -> None:
        """The first failure is the cause."""
        if self.cause is not None:
            return
        if isinstance(error, asyncio.CancelledError):
            self.cause = "dropped"
        else:
            self.cause = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), "incomplete")

    def abort(self) -> None:
        """End its answers as failed; once is enough."""
        if self.aborted:
            return
        self.aborted = True
        self.cause = self.cause or "aborted"
        for answer in self.answers:
            answer.interrupt()

    def answered(self, status: int, *, gone: bool) -> None:
        """The response is complete; `gone`: its client has disconnected."""
        unfinished = [answer for answer in self.answers if not answer.finished]
        if self.cause is not None:
            return
        if status >= web.HTTPBadRequest.status_code:
            self.cause = _CAUSES_BY_STATUS.get(status, "incomplete")
        elif unfinished and gone:
            self.cause = "dropped"
        elif not all(answer.closed for answer in unfinished):
            self.cause = "incomplete"

    def span(self) -> Span:
        """The whole of it, once it has ended."""
        now_s = self._clock()
        parts = [part for answer in self.answers for part in answer.spans(now_s)]
        about = {"request.id": self.id, "request.priority": self.priority.name.lower()}
        return Span("generate", now_s - self.arrived_s, 0.0, about, tuple(parts), self.cause)

    def ended(self) -> None:
        """Count its outcome."""
        metrics = self._metrics
        if self.cause is not None:
            metrics.failure.increment(self.cause)
            return
        metrics.success.increment()
        metrics.duration.observe(self._clock() - self.arrived_s)
        for answer in self.answers:
            answer.count()


class Calls:
    """Every call in progress, by its id. `trace` gets each one that has ended."""

    def __init__(
        self, metrics: CallMetrics, clock: Clock, new_id: Callable[[], str], *, trace: Trace = untraced
    ) -> None:
        self.metrics = metrics
        self._trace = trace
        self._clock = clock
        self._new_id = new_id
        self._live: dict[str, Call] = {}

    @contextmanager
    def enter(
        self, requested_id: str | None, priority: Priority, headers: Mapping[str, str]
    ) -> Iterator[Call]:
        """A call, with the id that its client requested if no other call has it."""
        call_id = requested_id if requested_id and requested_id not in self._live else self._new_id()
        call = self._live[call_id] = Call(call_id, priority, metrics=self.metrics, clock=self._clock)
        self.metrics.count.increment()
        try:
            yield call
        except BaseException as error:
            call.failed(error)
            raise
        finally:
            del self._live[call_id]
            call.ended()
            self._trace(call.span(), headers)

    def abort(self, call_id: str) -> None:
        """Raises Missing for a call that has ended or never was."""
        if call_id not in self._live:
            raise Missing(f"no request {call_id!r} is under way: it has ended, or never was")
        self._live[call_id].abort()
