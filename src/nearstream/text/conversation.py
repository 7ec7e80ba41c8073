"""A conversation as chat templates take it: documents like those of Hugging Face's `apply_chat_template`.

Arguments of tool calls are objects there, not JSON text. What a template has no place for is put in words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nearstream.core.generation import ChatPrompt, Message, Tool, ToolCall

Document = dict[str, Any]
# What a role means to a template that does not know it.
ROLE_ALIASES = {"developer": "system", "function": "tool"}


@dataclass(frozen=True, slots=True)
class TemplateTraits:
    """What a template shows the model: definitions of tools, calls that were made, their results."""

    tools: bool = True
    tool_calls: bool = True
    tool_results: bool = True
    argument_text: bool = False
    """Whether it joins a call's arguments to text, and so wants JSON text instead of an object."""
    roles: frozenset[str] = frozenset()
    """Those of `ROLE_ALIASES` that it names."""


def messages_for(prompt: ChatPrompt, traits: TemplateTraits) -> tuple[Message, ...]:
    """The turns, with whatever the template would leave out told in words."""
    turns = [_known_role(message, traits) for message in prompt.messages]
    if not traits.tool_results:
        turns = list(_results_in_words(turns))
    if not traits.tool_calls:
        turns = [_calls_in_words(turn) for turn in turns]
    if prompt.tools and not traits.tools:
        turns = _with_tools_described(turns, prompt)
    return tuple(turns)


def message_document(message: Message, traits: TemplateTraits) -> Document:
    """A turn as templates know it; keys that say nothing are left out, `content` never is."""
    document: Document = {"role": message.role, "content": message.content}
    if message.name:
        document["name"] = message.name
    if message.tool_calls:
        document["tool_calls"] = [_call_document(call, traits) for call in message.tool_calls]
    if message.tool_call_id is not None:
        document["tool_call_id"] = message.tool_call_id
    return document


def tool_documents(tools: Iterable[Tool]) -> list[Document]:
    """Tools as templates know them: a JSON schema under `function`."""
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def _function(tool: Tool) -> Document:
    described = {} if tool.description is None else {"description": tool.description}
    return {"name": tool.name, **described, "parameters": json.loads(tool.parameters)}


def _call_document(call: ToolCall, traits: TemplateTraits) -> Document:
    named = {} if call.id is None else {"id": call.id}
    arguments = call.arguments if traits.argument_text else _arguments(call)
    return {"type": "function", **named, "function": {"name": call.name, "arguments": arguments}}


def _arguments(call: ToolCall) -> object:
    """The object, or the text as it stands where the model did not write one."""
    try:
        found = json.loads(call.arguments)
    except ValueError:
        return call.arguments
    return found if isinstance(found, dict) else call.arguments


def _known_role(message: Message, traits: TemplateTraits) -> Message:
    role = message.role
    if role in ROLE_ALIASES and role not in traits.roles:
        return replace(message, role=ROLE_ALIASES[role])
    return message


def _calls_in_words(message: Message) -> Message:
    """The calls as the JSON that a model is asked to write them in."""
    if not message.tool_calls:
        return message
    calls = [{"name": call.name, "arguments": _arguments(call)} for call in message.tool_calls]
    words = _json(calls[0] if len(calls) == 1 else calls)
    said = f"{message.content}\n{words}" if message.content else words
    return replace(message, content=said, tool_calls=())


def _results_in_words(turns: Sequence[Message]) -> Iterator[Message]:
    """Results that follow each other as one turn of the user: many templates want the roles to alternate."""
    names = {call.id: call.name for turn in turns for call in turn.tool_calls if call.id}
    results: list[str] = []
    for turn in turns:
        if turn.role == "tool":
            results.append(_result(turn, names))
            continue
        if results and turn.role == "user":
            turn = replace(turn, content="\n".join([*results, turn.content or ""]))  # noqa: PLW2901
        elif results:
            yield Message("user", "\n".join(results))
        results = []
        yield turn
    if results:
        yield Message("user", "\n".join(results))


def _result(turn: Message, names: Mapping[str, str]) -> str:
    call_id = turn.tool_call_id or ""
    name = turn.name or names.get(call_id) or "the tool"
    return f"Result of {name}{f' ({call_id})' if call_id else ''}: {turn.content or ''}"


def _with_tools_described(turns: Sequence[Message], prompt: ChatPrompt) -> list[Message]:
    """The tools at the end of the last turn that is not the assistant's own, as TGI puts them."""
    described = f"\n\n---\n{_json(tool_documents(prompt.tools))}\n{prompt.tool_prompt}"
    changed = list(turns)
    for at in reversed(range(len(changed))):
        if changed[at].role != "assistant":
            changed[at] = replace(changed[at], content=(changed[at].content or "") + described)
            return changed
    return [Message("user", described.lstrip()), *changed]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
