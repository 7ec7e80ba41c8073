"""Which requests the model's process holds and which wait in the queue for it; hands each its own steps."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from typing import Literal

from nearstream.core.errors import GenerationFailed, Invalid, NearstreamError, Overloaded
from nearstream.core.generation import Step
from nearstream.engines.openvino.frames import (
    Advance,
    Cancel,
    FailureKind,
    Options,
    Stepped,
    Submit,
    ToWorker,
)

_ERRORS: dict[FailureKind, type[NearstreamError]] = {
    "invalid": Invalid,
    "overloaded": Overloaded,
    "failed": GenerationFailed,
}


class Answer:
    """The steps of one request that its reader has not taken yet; at most one for each token requested."""

    __slots__ = ("on_end", "steps", "submit")

    def __init__(self, submit: Submit) -> None:
        self.submit = submit
        self.steps: asyncio.Queue[Step | NearstreamError] = asyncio.Queue()
        self.on_end: Callable[[], None] | None = None
        """Called when the last step is made, whether or not its reader comes for it."""

    def end(self, last: Step | NearstreamError) -> None:
        """Nothing comes after `last`."""
        self.steps.put_nowait(last)
        if self.on_end is not None:
            self.on_end()


class Requests:
    """At most `max_seqs` run and `max_waiting` wait. Only the worker frees the place of one that runs."""

    def __init__(self, send: Callable[[ToWorker], None], *, max_seqs: int, max_waiting: int) -> None:
        self._send = send
        self._max_seqs = max_seqs
        self._max_waiting = max_waiting
        self._ids = itertools.count(1)
        self._running: dict[int, Answer] = {}
        self._waiting: deque[Answer] = deque()

    @property
    def running(self) -> int:
        """How many the worker holds."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many are queued."""
        return len(self._waiting)

    def add(self, prompt: bytes, options: Options, *, adapter: int = 0) -> Answer:
        """Send a request to the worker, or queue it. Raises Overloaded when the queue is full."""
        if self.running >= self._max_seqs and self.waiting >= self._max_waiting:
            raise Overloaded(
                f"{self.running} requests run and {self.waiting} wait, which is all that is allowed"
            )
        answer = Answer(Submit(next(self._ids), prompt, options, adapter))
        self._waiting.append(answer)
        self._fill()
        return answer

    def drop(self, answer: Answer) -> None:
        """Forget a request that its reader has left; one that has ended is no error."""
        if answer.submit.id in self._running:
            self._send(Cancel(answer.submit.id))
        elif answer in self._waiting:
            self._waiting.remove(answer)

    def advance(self, stepped: Stepped) -> None:
        """Hand out what a step made, and freed places to queued requests."""
        running = self._running
        for advance in stepped.advances:
            answer = running.get(advance.id)
            if answer is None:
                continue
            ending = advance.ending
            if ending is None:
                answer.steps.put_nowait(_step(advance, None))
                continue
            del running[advance.id]
            if ending != "cancelled":
                answer.end(_step(advance, ending))
        for failure in stepped.failures:
            answer = running.pop(failure.id, None)
            if answer is not None:
                answer.end(_ERRORS[failure.kind](failure.message))
        self._fill()

    def fail(self, error: NearstreamError) -> None:
        """End every request with `error`."""
        for answer in (*self._running.values(), *self._waiting):
            answer.end(error)
        self._running.clear()
        self._waiting.clear()

    def _fill(self) -> None:
        while self._waiting and self.running < self._max_seqs:
            answer = self._waiting.popleft()
            self._running[answer.submit.id] = answer
            self._send(answer.submit)


def _step(advance: Advance, finish: Literal["length", "eos"] | None) -> Step:
    return Step(advance.token_ids, advance.logprobs, finish, advance.prompt_logprobs)
