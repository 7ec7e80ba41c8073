"""What a server and its template worker say to each other, as MessagePack."""

from __future__ import annotations

import msgspec

from nearstream.core.generation import ChatPrompt
from nearstream.text.template_sources import TemplateSources


class Setup(msgspec.Struct, frozen=True, array_like=True):
    """The templates to compile, and the special tokens that they may name."""

    sources: TemplateSources
    bos: str | None
    eos: str | None


class Render(msgspec.Struct, frozen=True, array_like=True):
    """A conversation. `now` is the local time, ISO 8601."""

    prompt: ChatPrompt
    now: str


class Rendered(msgspec.Struct, frozen=True, array_like=True):
    """The prompt's text, or why there is none."""

    text: str
    refusal: str | None = None
