"""A parsed call to prompts of token ids: template, encoding, truncation, checks that need a token count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from nearstream.core.errors import TemplateFailed
from nearstream.core.generation import ChatPrompt, GenerationRequest, Sampling, TextPrompt, TokenPrompt
from nearstream.core.ports import GenerationCall
from nearstream.replica.readiness import ServedModel


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
    echo: bool = False
    """Its own tokens are wanted in the first delta."""


@dataclass(frozen=True, slots=True)
class Entropy:
    """Sources of randomness and time."""

    now: Callable[[], datetime]
    seed: Callable[[], int]


async def prepare(
    call: GenerationCall, model: ServedModel, *, entropy: Entropy, max_tokens: int
) -> list[Prompt]:
    """One prompt for each answer. Raises TemplateFailed, or Invalid when the tokens are too many or none.

    The work ends where a prompt has certainly more than `max_tokens`, which `call` refuses.
    """
    prompts: list[Prompt] = []
    previous: GenerationRequest | None = None
    for index, request in enumerate(call.requests):
        if previous is not None and previous.prompt is request.prompt:
            text, ids = prompts[-1].text, prompts[-1].ids
        else:
            text, ids = await _encoded(request, model, entropy.now, max_tokens)
        settled = call.settle(request, prompt_tokens=len(ids))
        sampling = settled.sampling
        if not sampling.ignore_eos:
            ends = sampling.stop_token_ids | model.tokenizer.special.eos_ids
            sampling = replace(sampling, stop_token_ids=ends)
        if sampling.do_sample and sampling.seed is None:
            sampling = replace(sampling, seed=entropy.seed())
        prompts.append(Prompt(text, ids, sampling, settled.max_new_tokens, request.stop, index, request.echo))
        previous = request
    return prompts


async def prompt_text(
    prompt: TextPrompt | TokenPrompt | ChatPrompt, model: ServedModel, now: Callable[[], datetime]
) -> str:
    """What the model continues. Raises TemplateFailed."""
    if isinstance(prompt, TextPrompt):
        return prompt.text
    if isinstance(prompt, TokenPrompt):
        return model.tokenizer.decode(prompt.ids)
    if model.template is None:
        raise TemplateFailed("template not found")
    return await model.template.render(prompt, now=now())


async def _encoded(
    request: GenerationRequest, model: ServedModel, now: Callable[[], datetime], max_tokens: int
) -> tuple[str, list[int]]:
    if isinstance(request.prompt, TokenPrompt) and len(request.prompt.ids) > max_tokens:
        return "", list(request.prompt.ids)
    text = await prompt_text(request.prompt, model, now)
    if isinstance(request.prompt, TokenPrompt):
        return text, list(request.prompt.ids)
    ids = await model.encoder.ids(
        text,
        add_special_tokens=isinstance(request.prompt, TextPrompt),
        limit=max_tokens,
        keep_last=request.truncate,
    )
    return text, ids
