"""A simulated replica, step by step: continuous batching, prompts read in chunks, a prefix cache that
forgets the oldest.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from benchmarks.steering.traffic import Request
from benchmarks.steering.world import Hardware

LEAST_READ = 16
LEAST_BUDGET = 32
_LONGEST_KEPT_MS = 3e5


@dataclass(slots=True)
class Events:
    """What happens when, in simulated milliseconds."""

    now_ms: float = 0.0
    _heap: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0

    def at(self, when_ms: float, action: Callable[[], None]) -> None:
        """Do that then; equal times in the order of these calls."""
        self._count += 1
        heapq.heappush(self._heap, (when_ms, self._count, action))

    def run(self, until_ms: float) -> None:
        """Let time pass."""
        while self._heap and self._heap[0][0] <= until_ms:
            self.now_ms, _, action = heapq.heappop(self._heap)
            action()


@dataclass(frozen=True, slots=True)
class State:
    """What a replica does at one moment."""

    pending_tokens: int
    decoding: int
    prefilling: int
    waiting: int
    busy: bool
    mean_output: float
    kept_ms: float

    @property
    def running(self) -> int:
        """Requests that hold a slot."""
        return self.decoding + self.prefilling


def exact_ms(state: State, hardware: Hardware, uncached: float, extra: float = 0.0) -> float:
    """Until the first token by somebody who knows the hardware and the state exactly."""
    streams = state.decoding
    budget = max(hardware.budget_tokens - streams, LEAST_BUDGET)
    steps, rest = divmod(state.pending_tokens + extra + uncached, budget)
    total = steps * hardware.step_ms(budget, streams) + (hardware.step_ms(rest, streams) if rest else 0.0)
    if state.busy:
        total += 0.5 * hardware.step_ms(min(state.pending_tokens, budget), streams)
    over = state.running + state.waiting + 1 - hardware.slots
    if over > 0:
        step = hardware.weights_ms + hardware.stream_ms * streams + hardware.rest_ms
        total += over * state.mean_output * step / max(streams, 1)
    return total


class Replica:
    """One model server; tells when a request has its first token, and when its last."""

    def __init__(
        self,
        hardware: Hardware,
        events: Events,
        random: Random,
        *,
        on_first: Callable[[Request], None],
        on_last: Callable[[Request], None],
    ) -> None:
        self.hardware = hardware
        self.stall_ms = 0.0
        self._events, self._random = events, random
        self._on_first, self._on_last = on_first, on_last
        self._waiting: deque[Request] = deque()
        self._prefilling: list[Request] = []
        self._decoding: list[tuple[int, int, Request]] = []
        self._step, self._admitted, self._pending, self._busy = 0, 0, 0, False
        self._cache: OrderedDict[int, tuple[int, float]] = OrderedDict()
        self._cached_tokens, self._running_tokens = 0, 0
        self._applications: set[int] = set()
        self._kept_ms, self._mean_output = 1e9, 120.0

    def state(self) -> State:
        """Now."""
        return State(
            self._pending,
            len(self._decoding),
            len(self._prefilling),
            len(self._waiting),
            self._busy,
            self._mean_output,
            self._kept_ms,
        )

    def uncached(self, request: Request) -> int:
        """Tokens of the prompt that it would have to read now."""
        chat = request.conversation
        tokens, _ = self._cache.get(chat.number, (0, 0.0))
        shared = chat.system_tokens if chat.application in self._applications else 0
        held = max(min(tokens, request.prompt), shared)
        return max(LEAST_READ, request.prompt - held)

    def add(self, request: Request) -> None:
        """Take a request."""
        request.uncached = request.left = self.uncached(request)
        self._pending += request.left
        self._waiting.append(request)
        if not self._busy:
            self._begin()

    def _begin(self) -> None:
        streams = len(self._decoding)
        budget = max(self.hardware.budget_tokens - streams, LEAST_BUDGET)
        work: list[tuple[Request, int]] = []
        for request in self._prefilling:
            if budget <= 0:
                break
            tokens = min(request.left, budget)
            work.append((request, tokens))
            budget -= tokens
        while budget > 0 and (admitted := self._admit()):
            tokens = min(admitted.left, budget)
            work.append((admitted, tokens))
            budget -= tokens
        self._busy = bool(work or streams)
        if not self._busy:
            return
        duration = self.hardware.step_ms(sum(tokens for _, tokens in work), streams)
        duration = duration * (1 + 0.04 * (self._random.random() - 0.5)) + self.stall_ms
        self.stall_ms = 0.0
        self._events.at(self._events.now_ms + duration, lambda: self._end(work))

    def _admit(self) -> Request | None:
        """The next waiting request, if a slot and the memory have room for it."""
        if not self._waiting or len(self._decoding) + len(self._prefilling) >= self.hardware.slots:
            return None
        request = self._waiting[0]
        total = request.prompt + request.output
        if self._running_tokens and self._running_tokens + total > self.hardware.cache_tokens:
            return None
        self._waiting.popleft()
        uncached = self.uncached(request)
        self._pending += uncached - request.left
        request.uncached = request.left = uncached
        tokens, _ = self._cache.pop(request.conversation.number, (0, 0.0))
        self._cached_tokens -= tokens
        self._running_tokens += total
        self._evict()
        self._applications.add(request.conversation.application)
        self._prefilling.append(request)
        return request

    def _end(self, work: list[tuple[Request, int]]) -> None:
        self._step += 1
        while self._decoding and self._decoding[0][0] <= self._step:
            self._finish(heapq.heappop(self._decoding)[2])
        for request, tokens in work:
            request.left -= tokens
            self._pending -= tokens
            if request.left <= 0:
                self._prefilling.remove(request)
                self._on_first(request)
                self._admitted += 1
                heapq.heappush(self._decoding, (self._step + request.output - 1, self._admitted, request))
        self._begin()

    def _finish(self, request: Request) -> None:
        total = request.prompt + request.output
        self._running_tokens -= total
        number = request.conversation.number
        tokens, _ = self._cache.pop(number, (0, 0.0))
        self._cache[number] = (total, self._events.now_ms)
        self._cached_tokens += total - tokens
        self._evict()
        self._mean_output += 0.02 * (request.output - self._mean_output)
        self._on_last(request)

    def _evict(self) -> None:
        room = self.hardware.cache_tokens - self._running_tokens
        while self._cached_tokens > room and self._cache:
            _, (tokens, at_ms) = self._cache.popitem(last=False)
            self._cached_tokens -= tokens
            age = self._events.now_ms - at_ms
            self._kept_ms = 0.9 * min(self._kept_ms, _LONGEST_KEPT_MS) + 0.1 * age
