"""A parsed call to prompts of token ids: template, encoding, truncation, checks that need a token count."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from nearstream.core.errors import TemplateFailed
from nearstream.core.generation import (
    ChatPrompt,
    GenerationRequest,
    Message,
    Sampling,
    TextPrompt,
    Tool,
)
from nearstream.core.ports import GenerationCall
from nearstream.replica.readiness import ServedModel
from nearstream.text.tokenizer import Tokenizer

LONG_TEXT = 20_000
"""Longer texts are tokenized in a thread, without the GIL, so that other answers go on."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request ready for the engine; `max_new_tokens` fits the context."""

    text: str
    ids: list[int]
    sampling: Sampling
    max_new_tokens: int
    stop: tuple[str, ...]
    index: int = 0
    """Its place among the answers of its call, as in `Delta.index`."""


@dataclass(frozen=True, slots=True)
class Entropy:
    """Sources of randomness and time."""

    now: Callable[[], datetime]
    seed: Callable[[], int]


async def prepare(call: GenerationCall, model: ServedModel, *, entropy: Entropy) -> list[Prompt]:
    """One prompt for each answer. Raises TemplateFailed, or Invalid when the tokens are too many or none."""
    prompts: list[Prompt] = []
    previous: GenerationRequest | None = None
    for index, request in enumerate(call.requests):
        if previous is not None and previous.prompt is request.prompt:
            text, ids = prompts[-1].text, prompts[-1].ids
        else:
            text, ids = await _encoded(request, model, entropy.now)
        settled = call.settle(request, prompt_tokens=len(ids))
        sampling = settled.sampling
        if not sampling.ignore_eos:
            sampling = replace(sampling, stop_token_ids=model.tokenizer.special.eos_ids)
        if sampling.do_sample and sampling.seed is None:
            sampling = replace(sampling, seed=entropy.seed())
        prompts.append(Prompt(text, ids, sampling, settled.max_new_tokens, request.stop, index))
        previous = request
    return prompts


def prompt_text(prompt: TextPrompt | ChatPrompt, model: ServedModel, now: Callable[[], datetime]) -> str:
    """What the model continues. Raises TemplateFailed."""
    if isinstance(prompt, TextPrompt):
        return prompt.text
    if model.template is None:
        raise TemplateFailed("template not found")
    tools = [_as_document(tool) for tool in prompt.tools]
    if tools and not model.template.takes_tools:
        return model.template.render(_with_tools_listed(prompt, tools), now=now)
    return model.template.render(prompt.messages, now=now, tools=tools or None)


def _as_document(tool: Tool) -> dict[str, object]:
    """A tool in the form that chat templates take."""
    function = {
        "name": tool.name,
        "description": tool.description or "",
        "parameters": json.loads(tool.parameters),
    }
    return {"type": "function", "function": function}


def _with_tools_listed(prompt: ChatPrompt, tools: list[dict[str, object]]) -> tuple[Message, ...]:
    """The tools listed at the end of the last turn that is not the assistant's, as TGI does."""
    messages = list(prompt.messages)
    listed = f"\n\n---\n{json.dumps(tools, ensure_ascii=False)}\n{prompt.tool_prompt}"
    for at in reversed(range(len(messages))):
        if messages[at].role != "assistant":
            messages[at] = replace(messages[at], content=messages[at].content + listed)
            return tuple(messages)
    return (Message("user", listed.lstrip()), *messages)


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
