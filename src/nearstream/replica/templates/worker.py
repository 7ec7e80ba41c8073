"""Compiles and renders a model's chat templates, in a process with bounds on time and memory."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nearstream.core.errors import NearstreamError
from nearstream.replica.templates.frames import Render, Rendered, Setup
from nearstream.text.template import ChatTemplate
from nearstream.workers.inside import run_bounded

_encode = msgspec.msgpack.Encoder().encode
_setup = msgspec.msgpack.Decoder(Setup).decode
_render = msgspec.msgpack.Decoder(Render).decode


class TemplateWorker:
    """Takes the templates first, then conversations."""

    def __init__(self) -> None:
        self._templates: tuple[ChatTemplate, ChatTemplate] | None = None
        """Without and with tools."""

    def answer(self, body: bytes) -> bytes:
        """A `Rendered` for a `Setup` or a `Render`."""
        try:
            if self._templates is None:
                self._templates = _compiled(_setup(body))
                return _encode(Rendered(""))
            call = _render(body)
            template = self._templates[bool(call.prompt.tools)]
            return _encode(Rendered(template.render(call.prompt, now=datetime.fromisoformat(call.now))))
        except NearstreamError as error:
            return _encode(Rendered("", str(error)))


def _compiled(setup: Setup) -> tuple[ChatTemplate, ChatTemplate]:
    sources = setup.sources
    default = ChatTemplate(sources.default, bos=setup.bos, eos=setup.eos)
    if sources.tool_use is None:
        return default, default
    return default, ChatTemplate(sources.tool_use, bos=setup.bos, eos=setup.eos)


if __name__ == "__main__":
    run_bounded(TemplateWorker().answer)
