"""An engine that says the answers of a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

from nearstream.core.errors import GenerationFailed
from nearstream.core.generation import EngineRequest, Step
from nearstream.testing.answers import Script, ScriptedAnswer
from nearstream.text.tokenizer import Tokenizer

_LOGPROB: Final = -0.5


class AnswerEngine:
    """An Engine. One token a step, with the answer's own delays, to its end or its failure."""

    def __init__(self, script: Script, tokenizer: Tokenizer) -> None:
        self._script = script
        self._tokenizer = tokenizer

    async def generate(
        self, request: EngineRequest, *, on_end: Callable[[], None] | None = None
    ) -> AsyncGenerator[Step, None]:
        """Say the script's answer to the prompt; sampling changes nothing."""
        answer = self._script.take(self._tokenizer.decode(request.prompt))
        token_ids = self._token_ids(answer.text)
        last = min(len(token_ids), request.max_new_tokens) - 1
        fails_at = None if answer.fail_after is None else min(answer.fail_after, last)
        for number, token_id in enumerate(token_ids[: last + 1]):
            await asyncio.sleep(answer.between_tokens_s if number else answer.ttft_s)
            if number == fails_at:
                _fail(answer)
            ended = number == last
            if ended and on_end is not None:
                on_end()
            eos = token_id in self._tokenizer.special.eos_ids
            yield Step((token_id,), (_LOGPROB,), ("eos" if eos else "length") if ended else None)

    async def healthy(self) -> bool:
        """It always is."""
        return True

    async def aclose(self) -> None:
        """It holds nothing."""

    def _token_ids(self, text: str) -> Sequence[int]:
        return [
            *self._tokenizer.encode(text, add_special_tokens=False),
            *sorted(self._tokenizer.special.eos_ids)[:1],
        ]


def _fail(answer: ScriptedAnswer) -> None:
    if answer.failure == "container":
        raise GenerationFailed("scripted failure")
    # A handler that is cancelled has its connection cut, which is what a replica that dies looks like.
    raise asyncio.CancelledError
