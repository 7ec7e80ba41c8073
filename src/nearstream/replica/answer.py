"""The token path: a request to a prompt of ids, the engine's ids to the deltas of an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from nearstream.core.errors import GenerationFailed, Invalid, TemplateFailed
from nearstream.core.generation import (
    ChatPrompt,
    Delta,
    Finish,
    FinishReason,
    GenerationRequest,
    Sampling,
    TextPrompt,
    Token,
)
from nearstream.replica.readiness import ServedModel
from nearstream.text.stops import StopStrings
from nearstream.text.tokenizer import Tokenizer
from nearstream.wire.dialects.rules import check_token_counts
from nearstream.wire.dialects.terms import Limits

LONG_TEXT = 20_000
"""Characters from which tokenising would hold up other answers; a thread does it, without the GIL."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request ready for the engine; `max_new_tokens` fits the context."""

    text: str
    ids: list[int]
    sampling: Sampling
    max_new_tokens: int
    stop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chances:
    """Where a request's luck and date come from."""

    now: Callable[[], datetime]
    seed: Callable[[], int]


async def prepare(
    request: GenerationRequest, model: ServedModel, limits: Limits, *, chances: Chances
) -> Prompt:
    """Raises TemplateFailed, or Invalid when the tokens are too many or none."""
    text = prompt_text(request.prompt, model, chances.now)
    ids = await _encode(model.tokenizer, text, add_special_tokens=isinstance(request.prompt, TextPrompt))
    if request.truncate is not None:
        ids = ids[-request.truncate :]
    if not ids:
        raise Invalid("`inputs` cannot be empty")
    fill = max(limits.max_total_tokens - len(ids), 0)
    wanted = fill if request.max_new_tokens is None else request.max_new_tokens
    check_token_counts(len(ids), wanted, limits)
    sampling = replace(request.sampling, stop_token_ids=model.tokenizer.special.eos_ids)
    if sampling.do_sample and sampling.seed is None:
        sampling = replace(sampling, seed=chances.seed())
    return Prompt(text, ids, sampling, wanted, request.stop)


async def deltas(prompt: Prompt, model: ServedModel) -> AsyncGenerator[Delta, None]:
    """One delta a token; the last one has the finish. Closing it aborts the engine's work.

    Raises what the engine raises, and GenerationFailed if it ends without a finish.
    """
    answer = Answer(prompt, model.tokenizer)
    steps = model.engine.generate(prompt.ids, prompt.sampling, max_new_tokens=prompt.max_new_tokens)
    async with aclosing(steps):
        async for step in steps:
            last = len(step.token_ids) - 1
            for at, (token_id, logprob) in enumerate(zip(step.token_ids, step.logprobs, strict=True)):
                delta = answer.feed(token_id, logprob, ended=step.finish if at == last else None)
                yield delta
                if delta.finish is not None:
                    return
            if step.finish is not None:
                yield Delta(finish=answer.finish(step.finish))
                return
    raise GenerationFailed("the engine ended without finishing the answer")


class Answer:
    """Ids to tokens with text, and when to stop: by length, by the model's end, by a stop string."""

    def __init__(self, prompt: Prompt, tokenizer: Tokenizer) -> None:
        self._prompt = prompt
        self._tokenizer = tokenizer
        self._text = tokenizer.detokenizer(prompt.ids)
        self._stops = StopStrings(prompt.stop)
        self._count = 0

    def feed(self, token_id: int, logprob: float, *, ended: Literal["length", "eos"] | None) -> Delta:
        """`ended` is the engine's word on this token, for limits that only it knows."""
        self._count += 1
        ends = token_id in self._prompt.sampling.stop_token_ids
        text = self._tokenizer.special_text(token_id)
        special = ends or text is not None
        if text is None:
            text = "" if ends else self._text.push(token_id)
        reason = self._reason(text, ends=ends) or ended
        if reason is None:
            return Delta((Token(token_id, text, logprob, special),))
        if not special:
            text += self._text.flush()
        return Delta((Token(token_id, text, logprob, special),), self.finish(reason))

    def finish(self, reason: FinishReason) -> Finish:
        sampling = self._prompt.sampling
        return Finish(
            reason=reason,
            prompt_tokens=len(self._prompt.ids),
            generated_tokens=self._count,
            seed=sampling.seed if sampling.do_sample else None,
        )

    def _reason(self, text: str, *, ends: bool) -> FinishReason | None:
        if self._count >= self._prompt.max_new_tokens:
            return "length"
        if ends:
            return "eos"
        return "stop" if self._stops.push(text) else None


def prompt_text(prompt: TextPrompt | ChatPrompt, model: ServedModel, now: Callable[[], datetime]) -> str:
    """What the model continues. Raises TemplateFailed."""
    if isinstance(prompt, TextPrompt):
        return prompt.text
    if model.template is None:
        raise TemplateFailed("template not found")
    return model.template.render(prompt.messages, now=now)


async def _encode(tokenizer: Tokenizer, text: str, *, add_special_tokens: bool) -> list[int]:
    if len(text) < LONG_TEXT:
        return tokenizer.encode(text, add_special_tokens=add_special_tokens)
    return await asyncio.to_thread(tokenizer.encode, text, add_special_tokens=add_special_tokens)
