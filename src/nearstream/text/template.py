"""A model's chat template: a conversation to the text that the model continues.

Rendering follows Hugging Face's `apply_chat_template`. A template comes with the model, so it is not trusted:
it runs in Jinja's immutable sandbox, which reaches nothing outside, and a server renders it in a process of
its own, which bounds its time and memory.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import jinja2
from jinja2 import ext, meta, nodes, parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nearstream.core.errors import TemplateFailed, Unusable
from nearstream.core.generation import ChatPrompt, Message, Tool, ToolCall
from nearstream.text.conversation import (
    ROLE_ALIASES,
    Document,
    TemplateTraits,
    message_document,
    messages_for,
    tool_documents,
)

OUTPUT_LIMIT: Final = 4_000_000
"""Characters that a template may write."""
TOOLS_VARIABLES: Final = ("tools", "xml_tools")
"""What templates call their tools; SmolLM3 has the second name."""
_CALL_ID: Final = "Probe0000"  # Mistral's templates take nothing but nine letters and digits
_PROBE_TIME: Final = datetime(2026, 1, 1)


class ChatTemplate:
    """A compiled template and the special tokens that it may name."""

    def __init__(self, source: str, *, bos: str | None = None, eos: str | None = None) -> None:
        """Raises Unusable for a template that Jinja cannot read."""
        self._special = {"bos_token": bos or "", "eos_token": eos or ""}
        environment = _sandbox()
        try:
            self._template = environment.from_string(source)
            variables = meta.find_undeclared_variables(environment.parse(source))
        except jinja2.TemplateSyntaxError as error:
            raise Unusable(f"the model's chat template is broken: {error}") from error
        self._tools = next((name for name in TOOLS_VARIABLES if name in variables), None)
        roles = frozenset(role for role in ROLE_ALIASES if f"'{role}'" in source or f'"{role}"' in source)
        self.traits = self._tried(TemplateTraits(tools=self._tools is not None, roles=roles))

    def render(self, prompt: ChatPrompt, *, now: datetime) -> str:
        """The prompt's text. A last assistant message is left open for the model to continue.

        Raises TemplateFailed when the template refuses the conversation or breaks.
        """
        messages = messages_for(prompt, self.traits)
        tools = tool_documents(prompt.tools) if prompt.tools and self.traits.tools else None
        last = messages[-1] if messages else None
        if last is None or last.role != "assistant" or last.tool_calls:
            return self._render(messages, tools, now, opens_answer=True)
        content = (last.content or "").strip()
        if not content:
            return self._render(messages[:-1], tools, now, opens_answer=True)
        text = self._render(messages, tools, now, opens_answer=False)
        start = text.rfind(content)
        return text if start < 0 else text[: start + len(content)]

    def _render(
        self, messages: Sequence[Message], tools: list[Document] | None, now: datetime, *, opens_answer: bool
    ) -> str:
        documents = [message_document(message, self.traits) for message in messages]
        try:
            return self._text(documents, tools, now, opens_answer=opens_answer)
        except TemplateFailed:
            if all(message.content is not None for message in messages):
                raise
        # Clients send null beside tool calls; a template that joins strings takes only "".
        for document in documents:
            document["content"] = document["content"] or ""
        return self._text(documents, tools, now, opens_answer=opens_answer)

    def _text(
        self, messages: list[Document], tools: list[Document] | None, now: datetime, *, opens_answer: bool
    ) -> str:
        rendering = self._template.generate(
            messages=messages,
            add_generation_prompt=opens_answer,
            **{"tools": None, self._tools or "tools": tools},
            documents=None,
            **self._special,
            raise_exception=_refuse,
            strftime_now=now.strftime,
        )
        parts, length = list[str](), 0
        try:
            for part in rendering:
                parts.append(part)
                length += len(part)
                if length > OUTPUT_LIMIT:
                    _refuse(f"the prompt is longer than {OUTPUT_LIMIT} characters")
        except (TemplateFailed, MemoryError):
            raise
        except Exception as error:
            # A template is a program of its model's author: it can raise anything, and all of it refuses.
            raise TemplateFailed(str(error) or type(error).__name__) from error
        return "".join(parts)

    def _tried(self, traits: TemplateTraits) -> TemplateTraits:
        """With what a tool's turns say that reaches the text: found out by looking for it there."""
        tools = tool_documents([_TOOL]) if self._tools else None
        best = replace(traits, tool_calls=False, tool_results=False)
        for argument_text in (False, True):
            self.traits = replace(traits, argument_text=argument_text)
            try:
                text = self._render(_PROBE, tools, _PROBE_TIME, opens_answer=True)
            except TemplateFailed:
                continue
            found = replace(self.traits, tool_calls=_ARGUMENT in text, tool_results=_RESULT in text)
            if found.tool_calls + found.tool_results > best.tool_calls + best.tool_results:
                best = found
        return best


_ARGUMENT: Final = "probed argument"
_RESULT: Final = "probed result"
_TOOL: Final = Tool("probe", "Probe", '{"type": "object", "properties": {"a": {"type": "string"}}}')
_PROBE: Final = (
    Message("user", "ask"),
    Message("assistant", None, tool_calls=(ToolCall("probe", f'{{"a": "{_ARGUMENT}"}}', _CALL_ID),)),
    Message("tool", _RESULT, "probe", tool_call_id=_CALL_ID),
)


class _GenerationTag(ext.Extension):
    """`{% generation %}` marks the assistant's words for training; at inference it is only its content."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own declaration

    def parse(self, parser: parser.Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _sandbox() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _GenerationTag]
    )
    environment.filters["tojson"] = _tojson
    environment.globals.pop("lipsum")
    return environment


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As Hugging Face's: readable characters stay, nothing is escaped for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _refuse(message: str) -> None:
    raise TemplateFailed(message)
