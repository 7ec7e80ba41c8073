"""The token path: a request to a prompt of ids, the engine's ids to the deltas of an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from nearstream.core.errors import GenerationFailed, TemplateFailed
from nearstream.core.generation import (
    ChatPrompt,
    Delta,
    EngineRequest,
    Finish,
    FinishReason,
    GenerationRequest,
    Message,
    Sampling,
    TextPrompt,
    Token,
    Tool,
)
from nearstream.core.ports import GenerationCall
from nearstream.replica.readiness import ServedModel
from nearstream.text.stops import StopStrings
from nearstream.text.tokenizer import Tokenizer

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
    index: int = 0
    """Which of its call's answers this one begins."""


@dataclass(frozen=True, slots=True)
class Chances:
    """Where a request's luck and date come from."""

    now: Callable[[], datetime]
    seed: Callable[[], int]


async def prepare(exchange: GenerationCall, model: ServedModel, *, chances: Chances) -> list[Prompt]:
    """One prompt for each answer. Raises TemplateFailed, or Invalid when the tokens are too many or none."""
    prompts: list[Prompt] = []
    before: GenerationRequest | None = None
    for index, request in enumerate(exchange.requests):
        if before is not None and before.prompt is request.prompt:
            text, ids = prompts[-1].text, prompts[-1].ids
        else:
            text, ids = await _encoded(request, model, chances.now)
        settled = exchange.settle(request, prompt_tokens=len(ids))
        sampling = settled.sampling
        if not sampling.ignore_eos:
            sampling = replace(sampling, stop_token_ids=model.tokenizer.special.eos_ids)
        if sampling.do_sample and sampling.seed is None:
            sampling = replace(sampling, seed=chances.seed())
        prompts.append(Prompt(text, ids, sampling, settled.max_new_tokens, request.stop, index))
        before = request
    return prompts


async def deltas(prompt: Prompt, model: ServedModel) -> AsyncGenerator[Delta, None]:
    """One delta a token; the last one has the finish. Closing it aborts the engine's work.

    Raises what the engine raises, and GenerationFailed if it ends without a finish.
    """
    answer = Answer(prompt, model.tokenizer)
    steps = model.engine.generate(EngineRequest(prompt.ids, prompt.sampling, prompt.max_new_tokens))
    async with aclosing(steps):
        async for step in steps:
            last = len(step.token_ids) - 1
            for at, (token_id, logprob) in enumerate(zip(step.token_ids, step.logprobs, strict=True)):
                delta = answer.feed(token_id, logprob, ended=step.finish if at == last else None)
                yield delta
                if delta.finish is not None:
                    return
            if step.finish is not None:
                yield Delta((), answer.finish(step.finish), prompt.index)
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
            return Delta((Token(token_id, text, logprob, special),), None, self._prompt.index)
        if not special:
            text += self._text.flush()
        return Delta((Token(token_id, text, logprob, special),), self.finish(reason), self._prompt.index)

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
    tools = [_as_document(tool) for tool in prompt.tools]
    if tools and not model.template.takes_tools:
        return model.template.render(_with_tools_told(prompt, tools), now=now)
    return model.template.render(prompt.messages, now=now, tools=tools or None)


def _as_document(tool: Tool) -> dict[str, object]:
    """A tool as templates know it."""
    function = {
        "name": tool.name,
        "description": tool.description or "",
        "parameters": json.loads(tool.parameters),
    }
    return {"type": "function", "function": function}


def _with_tools_told(prompt: ChatPrompt, tools: list[dict[str, object]]) -> tuple[Message, ...]:
    """The tools at the end of the last turn that is not the assistant's own, as TGI has them."""
    messages = list(prompt.messages)
    told = f"\n\n---\n{json.dumps(tools, ensure_ascii=False)}\n{prompt.tool_prompt}"
    for at in reversed(range(len(messages))):
        if messages[at].role != "assistant":
            messages[at] = replace(messages[at], content=messages[at].content + told)
            return tuple(messages)
    return (Message("user", told.lstrip()), *messages)


async def _encoded(
    request: GenerationRequest, model: ServedModel, now: Callable[[], datetime]
) -> tuple[str, list[int]]:
    text = prompt_text(request.prompt, model, now)
    ids = await _encode(model.tokenizer, text, add_special_tokens=isinstance(request.prompt, TextPrompt))
    return text, ids if request.truncate is None else ids[-request.truncate :]


async def _encode(tokenizer: Tokenizer, text: str, *, add_special_tokens: bool) -> list[int]:
    if len(text) < LONG_TEXT:
        return tokenizer.encode(text, add_special_tokens=add_special_tokens)
    return await asyncio.to_thread(tokenizer.encode, text, add_special_tokens=add_special_tokens)
