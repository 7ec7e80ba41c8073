"""Renders conversations by a model's chat template, in a process that holds up nobody's tokens.

A template is a program of its model's author, and what a client sends decides how long it runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Final

import msgspec

from nearstream.core.errors import TemplateFailed, Unusable
from nearstream.core.generation import ChatPrompt
from nearstream.replica.templates.frames import Render, Rendered, Setup
from nearstream.text.template_sources import TemplateSources
from nearstream.text.tokenizer import SpecialTokens
from nearstream.workers.bounded import BoundedWorker, Overstepped, WorkLimits, bounded_worker

MODULE: Final = "nearstream.replica.templates.worker"
LIMITS: Final = WorkLimits(time_s=2.0, memory_bytes=1 << 29)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Rendered).decode


class TemplateRenderer:
    """Made by `template_renderer`."""

    def __init__(self, worker: BoundedWorker) -> None:
        self._worker = worker

    async def render(self, prompt: ChatPrompt, *, now: datetime) -> str:
        """The prompt's text. Raises TemplateFailed where the template refuses, breaks or oversteps."""
        try:
            rendered = _decode(await self._worker.call(_encode(Render(prompt, now.isoformat()))))
        except Overstepped as error:
            raise TemplateFailed(f"the chat template took more than it may: {error}") from error
        if rendered.refusal is not None:
            raise TemplateFailed(rendered.refusal)
        return rendered.text


@asynccontextmanager
async def template_renderer(
    sources: TemplateSources | None, special: SpecialTokens, *, limits: WorkLimits = LIMITS
) -> AsyncIterator[TemplateRenderer | None]:
    """Renders by a model's templates; None without any. Raises Unusable for one that cannot be used."""
    if sources is None:
        yield None
        return
    setup = _encode(Setup(sources, special.bos, special.eos))
    async with AsyncExitStack() as stack:
        try:
            opened = bounded_worker(MODULE, setup, limits)
            worker, greeting = await stack.enter_async_context(opened)
        except Overstepped as error:
            raise Unusable(f"the model's chat template cannot be used: {error}") from error
        refusal = _decode(greeting).refusal
        if refusal is not None:
            raise Unusable(refusal)
        yield TemplateRenderer(worker)
