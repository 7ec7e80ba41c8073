"""Whether the server can answer yet, and with what."""

from __future__ import annotations

from dataclasses import dataclass

from nearstream.core.errors import NotReady
from nearstream.core.ports import Engine
from nearstream.replica.encoding import TextEncoder
from nearstream.replica.scheduler import Scheduler
from nearstream.replica.templates.renderer import TemplateRenderer
from nearstream.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that is loaded and warm."""

    engine: Engine
    tokenizer: Tokenizer
    encoder: TextEncoder
    template: TemplateRenderer | None
    scheduler: Scheduler


class Readiness:
    """Loading, then open, then draining; the server listens all the while."""

    def __init__(self) -> None:
        self._model: ServedModel | None = None
        self._draining = False

    def open(self, model: ServedModel) -> None:
        self._model = model

    def drain(self) -> None:
        self._draining = True

    def model(self) -> ServedModel:
        """Raises NotReady while loading and while draining."""
        if self._draining:
            raise NotReady("the server is stopping")
        if self._model is None:
            raise NotReady("the model is still loading")
        return self._model

    async def healthy(self) -> bool:
        """Whether a call sent now would be answered."""
        try:
            return await self.model().engine.healthy()
        except NotReady:
            return False
