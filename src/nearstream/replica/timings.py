"""How long a whole answer took, as TGI's response headers say it."""

from __future__ import annotations

from collections.abc import Sequence

from nearstream.core.generation import Finish
from nearstream.core.ports import Clock


class Timings:
    """Started with the call."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_s = clock()
        self._prepared_s = self._started_s

    def prepared(self) -> None:
        """The request is checked and tokenised."""
        self._prepared_s = self._clock()

    def headers(self, finishes: Sequence[Finish], *, queued_s: float) -> dict[str, str]:
        """Integer milliseconds, except for x-compute-time in seconds. Several answers count together."""
        generated_tokens = sum(finish.generated_tokens for finish in finishes)
        ended_s = self._clock()
        inference_s = ended_s - self._prepared_s - queued_s
        return {
            "x-compute-time": f"{ended_s - self._started_s:.6f}",
            "x-total-time": _ms(ended_s - self._started_s),
            "x-validation-time": _ms(self._prepared_s - self._started_s),
            "x-queue-time": _ms(queued_s),
            "x-inference-time": _ms(inference_s),
            "x-time-per-token": _ms(inference_s / max(generated_tokens, 1)),
            "x-prompt-tokens": str(max(finish.prompt_tokens for finish in finishes)),
            "x-generated-tokens": str(generated_tokens),
        }


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))
