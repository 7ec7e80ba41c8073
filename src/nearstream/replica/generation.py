"""Prompts to deltas: the scheduler's place, the engine's token ids, their text, and when an answer ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Literal

from nearstream.core.errors import GenerationFailed, NearstreamError
from nearstream.core.generation import Delta, EngineRequest, Finish, FinishReason, Step, Token
from nearstream.replica.calls import Call
from nearstream.replica.prompts import Prompt
from nearstream.replica.readiness import ServedModel
from nearstream.tasks import alongside
from nearstream.text.stops import StopStrings
from nearstream.text.tokenizer import Tokenizer

_Queue = asyncio.Queue[Delta | Exception]


@asynccontextmanager
async def generate(
    prompts: Sequence[Prompt], model: ServedModel, call: Call
) -> AsyncIterator[AsyncIterator[Delta]]:
    """The deltas of every answer of `call` as they are made, each with its answer's index.

    Leaving the block aborts the engine's work. The first answer that fails ends all of them.
    """
    if len(prompts) == 1:
        async with aclosing(deltas(prompts[0], model, call)) as only:
            yield only
        return
    queue: _Queue = asyncio.Queue(maxsize=len(prompts))  # a reader that is slow holds every answer back
    producers = [_produce(prompt, model, call, queue) for prompt in prompts]
    async with alongside(*producers), aclosing(_consume(queue, len(prompts))) as together:
        yield together


async def deltas(prompt: Prompt, model: ServedModel, call: Call) -> AsyncGenerator[Delta, None]:
    """One delta a token; the last one has the finish. Closing it aborts the engine's work.

    Raises what the engine raises, and GenerationFailed if the engine ends without a finish or the call is
    aborted.
    """
    answer = Answer(prompt, model.tokenizer)
    request = EngineRequest(prompt.ids, prompt.sampling, prompt.max_new_tokens)
    async with aclosing(_scheduled_steps(request, model, call)) as steps:
        async for step in steps:
            prefill = answer.prefill(step)
            last = len(step.token_ids) - 1
            for at, (token_id, logprob) in enumerate(zip(step.token_ids, step.logprobs, strict=True)):
                delta = answer.feed(token_id, logprob, ended=step.finish if at == last else None)
                yield delta if at or not prefill else replace(delta, prefill=prefill)
                if delta.finish is not None:
                    return
            if step.finish is not None:
                yield Delta((), answer.finish(step.finish), prompt.index)
                return
    raise GenerationFailed("the engine ended without finishing the answer")


class Answer:
    """Token ids to tokens with text, and when to stop: by length, by the model's end, by a stop string."""

    def __init__(self, prompt: Prompt, tokenizer: Tokenizer) -> None:
        self._prompt = prompt
        self._tokenizer = tokenizer
        self._text = tokenizer.detokenizer(prompt.ids)
        self._stops = StopStrings(prompt.stop)
        self._count = 0

    def feed(self, token_id: int, logprob: float, *, ended: Literal["length", "eos"] | None) -> Delta:
        """`ended`: the engine's finish at this token, for limits that only the engine knows."""
        self._count += 1
        ends = token_id in self._prompt.sampling.stop_token_ids
        text = self._tokenizer.special_text(token_id)
        special = ends or text is not None
        if text is None:
            text = "" if ends else self._text.push(token_id)
        reason = self._reason(text, ends=ends) or ended
        if reason is None:
            return Delta((Token(token_id, text, logprob, special),), None, self._prompt.index)
        if not special:
            text += self._text.flush()
        return Delta((Token(token_id, text, logprob, special),), self.finish(reason), self._prompt.index)

    def prefill(self, step: Step) -> tuple[Token, ...]:
        """The prompt's tokens in the first step, where they are wanted; the first has no log-probability."""
        measured = self._prompt.sampling.prefill_logprobs
        if self._count or not (measured or self._prompt.echo):
            return ()
        logprobs = (None, *step.prompt_logprobs) if measured else (None,) * len(self._prompt.ids)
        text, found = self._tokenizer.detokenizer(), list[Token]()
        for token_id, logprob in zip(self._prompt.ids, logprobs, strict=True):
            special = self._tokenizer.special_text(token_id)
            shown = text.push(token_id) if special is None else special
            found.append(Token(token_id, shown, logprob, special is not None))
        return tuple(found)

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


async def _scheduled_steps(
    request: EngineRequest, model: ServedModel, call: Call
) -> AsyncGenerator[Step, None]:
    """The engine's steps once the scheduler has a place, timed, and interrupted when the call is aborted.

    The place is free again when the engine is done, though a slow reader may still take what was made.
    """
    tokens = len(request.prompt) + request.max_new_tokens
    progress = call.begin(len(request.prompt), request.max_new_tokens)
    try:
        async with model.scheduler.place(tokens, priority=call.priority) as leave:
            progress.admitted()
            async with aclosing(model.engine.generate(request, on_end=leave)) as steps:
                async for step in steps:
                    progress.stepped(len(step.token_ids))
                    progress.finished = step.finish is not None
                    progress.waiting = False
                    yield step
                    progress.check()
                    progress.waiting = True
    except GeneratorExit:
        progress.closed = True
        raise
    except asyncio.CancelledError as error:
        raise progress.cancelled(error) from None
    except NearstreamError as error:
        call.failed(error)
        raise
    finally:
        progress.waiting = False


async def _produce(prompt: Prompt, model: ServedModel, call: Call, queue: _Queue) -> None:
    try:
        async with aclosing(deltas(prompt, model, call)) as made:
            async for delta in made:
                await queue.put(delta)
    except Exception as error:  # noqa: BLE001 - whatever it is, the reader raises it
        await queue.put(error)


async def _consume(queue: _Queue, unfinished: int) -> AsyncGenerator[Delta, None]:
    while unfinished:
        delta = await queue.get()
        if isinstance(delta, Exception):
            raise delta
        unfinished -= delta.finish is not None
        yield delta
