"""A model's chat template: a conversation to the text that the model continues.

Rendering follows Hugging Face's `apply_chat_template`. A template comes with the model, so it is not trusted:
it runs in Jinja's immutable sandbox, which reaches nothing outside; loops, arithmetic and output are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import meta

from nearstream.core.errors import TemplateFailed, Unusable
from nearstream.core.generation import Message
from nearstream.text.sandbox import OUTPUT_LIMIT, bounded_range, sandbox
from nearstream.text.tokenizer import SpecialTokens, read_json_object


class ChatTemplate:
    """A compiled template and the special tokens that it may name."""

    def __init__(self, source: str, special: SpecialTokens) -> None:
        self._special = special
        environment = sandbox()
        try:
            self._template = environment.from_string(source)
            self.takes_tools = "tools" in meta.find_undeclared_variables(environment.parse(source))
            """Whether it tells the model of tools by itself."""
        except jinja2.TemplateSyntaxError as error:
            raise Unusable(f"the model's chat template is broken: {error}") from error

    def render(
        self,
        messages: Sequence[Message],
        *,
        now: Callable[[], datetime],
        tools: Sequence[dict[str, Any]] | None = None,
    ) -> str:
        """The prompt's text. A last assistant message is left open for the model to continue.

        Raises TemplateFailed when the template refuses the conversation or breaks.
        """
        last = messages[-1] if messages else None
        if last is None or last.role != "assistant":
            return self._render(messages, add_generation_prompt=True, now=now, tools=tools)
        if not last.content.strip():
            return self._render(messages[:-1], add_generation_prompt=True, now=now, tools=tools)
        text = self._render(messages, add_generation_prompt=False, now=now, tools=tools)
        start = text.rfind(content := last.content.strip())
        return text if start < 0 else text[: start + len(content)]

    def _render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool,
        now: Callable[[], datetime],
        tools: Sequence[dict[str, Any]] | None,
    ) -> str:
        rendering = self._template.generate(
            messages=[_as_dict(message) for message in messages],
            add_generation_prompt=add_generation_prompt,
            tools=tools,
            bos_token=self._special.bos or "",
            eos_token=self._special.eos or "",
            range=bounded_range(),
            raise_exception=_refuse,
            strftime_now=lambda form: now().strftime(form),
        )
        try:
            return _joined(rendering)
        except TemplateFailed:
            raise
        except Exception as error:
            # A template is a program of its model's author: it can raise anything, and all of it refuses.
            raise TemplateFailed(str(error) or type(error).__name__) from error


def load_template(directory: Path, special: SpecialTokens) -> ChatTemplate | None:
    """A directory's template: chat_template.jinja, else tokenizer_config.json; None without one."""
    file = directory / "chat_template.jinja"
    if file.is_file():
        return ChatTemplate(_read(file), special)
    found = read_json_object(directory / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):
        named = {item["name"]: item["template"] for item in found if isinstance(item, dict)}
        found = named.get("default")
    return ChatTemplate(found, special) if isinstance(found, str) else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"cannot read {file}: {error}") from error


def _as_dict(message: Message) -> dict[str, str]:
    named = {"name": message.name} if message.name else {}
    return {"role": message.role, "content": message.content} | named


def _joined(rendering: Iterable[str]) -> str:
    parts, length = [], 0
    for part in rendering:
        parts.append(part)
        length += len(part)
        if length > OUTPUT_LIMIT:
            raise TemplateFailed(f"the prompt is longer than {OUTPUT_LIMIT} characters")
    return "".join(parts)


def _refuse(message: str) -> None:
    raise TemplateFailed(message)
