"""What a scripted site answers: a queue of answers, and answers to prompts that hold a text."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

Failure = Literal["replica", "container"]


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    """One answer and its pace; `fail_after` tokens it breaks, as `failure` says."""

    text: str
    ttft_s: float = 0.0
    between_tokens_s: float = 0.0
    fail_after: int | None = None
    failure: Failure = "replica"


DEFAULT: Final = ScriptedAnswer("This is a scripted answer.")


class Script:
    """Which answer the next prompt gets. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[ScriptedAnswer] = deque()
        self._last = DEFAULT
        self._by_text: dict[str, ScriptedAnswer] = {}
        self._prompts: list[str] = []

    @property
    def prompts(self) -> tuple[str, ...]:
        """Every prompt that was answered, in its order."""
        with self._lock:
            return tuple(self._prompts)

    def add(self, answer: ScriptedAnswer, to: str | None) -> None:
        """To prompts with the text `to` in them; without it, to the next prompt that has no such answer."""
        with self._lock:
            if to is None:
                self._queue.append(answer)
            else:
                self._by_text[to] = answer

    def take(self, prompt: str) -> ScriptedAnswer:
        """The answer to `prompt`; the last one of the queue is given again and again."""
        with self._lock:
            self._prompts.append(prompt)
            for text, answer in reversed(self._by_text.items()):
                if text in prompt:
                    return answer
            if self._queue:
                self._last = self._queue.popleft()
            return self._last
