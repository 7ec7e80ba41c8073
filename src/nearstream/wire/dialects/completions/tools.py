"""Tools of a chat: which of them the model may call, and the schema that holds it to one of them.

As in TGI an absent `tool_choice` is "auto": the model calls one of them or answers in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from nearstream.core.errors import Misshapen, ToolFailed, Unsupported
from nearstream.core.generation import Grammar, Tool

Shape = TypeVar("Shape")
IN_WORDS = "Where no function helps, answer in plain words."
PROMPT = (
    'You can call one of the functions above: answer with {"name": function name, "arguments": its arguments '
    "as a JSON object}, with values, not variables."
)
_NOTHING: dict[str, Any] = {"properties": {}, "additionalProperties": False}
"""What a tool without parameters takes."""
MOST_CALLS = 16
"""In one answer, where several are asked for."""


class ToolFunction(msgspec.Struct, frozen=True, kw_only=True):
    """`arguments` is TGI's older name of `parameters`."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    arguments: dict[str, Any] | None = None


class ToolBody(msgspec.Struct, frozen=True, kw_only=True):
    function: ToolFunction
    type: str = "function"


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools of which the model may call `most`; `words`: it may answer in words instead."""

    tools: tuple[Tool, ...]
    words: bool
    most: int = 1

    def grammar(self, otherwise: Grammar | None) -> Grammar:
        """What the model may write. `otherwise`: what words must fit, where there is such a thing."""
        offered: dict[str, Any] = {"schema": call_schema(self.tools), "words": self.words, "most": self.most}
        if otherwise is not None and self.words:
            offered["otherwise"] = msgspec.json.decode(otherwise.source)
        return Grammar("tool_calls", msgspec.json.encode(offered).decode())


def offer(
    tools: list[dict[str, Any]] | None, choice: str | dict[str, Any] | None, *, parallel: bool
) -> Offer | None:
    """None where the model is to answer in words. Raises Invalid, ToolFailed for a choice of no tool."""
    allowed = choice.get("allowed_tools") if isinstance(choice, dict) else None
    if isinstance(allowed, dict):
        names = {_name(one) for one in allowed.get("tools") or ()}
        tools = [document for document in tools or () if _tool(document).name in names]
        choice = allowed.get("mode", "auto")
    found = chosen(tools, choice)
    if not found:
        return None
    return Offer(tuple(found), _name(choice) == "auto", MOST_CALLS if parallel else 1)


def chosen(tools: list[dict[str, Any]] | None, choice: str | dict[str, Any] | None) -> list[Tool]:
    """The tools of which the model may call one; none where it is to answer in words.

    Raises Misshapen, and ToolFailed where the choice names none of them.
    """
    name = _name(choice)
    if not tools or name == "none":
        return []
    offered = [_tool(document) for document in tools]
    found = [tool for tool in offered if tool.name == name]
    if name in {"auto", "required", "any"} and (isinstance(choice, str | None) or not found):
        return offered
    if not found:
        raise ToolFailed(f"Tool with name {name} not found")
    return found


def call_schema(tools: Sequence[Tool]) -> dict[str, Any]:
    """The JSON schema of a call of one of `tools`."""
    forms = [_call(tool, index) for index, tool in enumerate(tools)]
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _call(tool: Tool, index: int) -> dict[str, Any]:
    parameters = msgspec.json.decode(tool.parameters, type=dict[str, Any])
    if _refers(parameters):
        # With an identity of its own, its references count from itself, as its writer meant them.
        parameters = {"$id": f"tool:{index}"} | parameters
    return {
        "type": "object",
        "properties": {"name": {"type": "string", "const": tool.name}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _refers(schema: object) -> bool:
    todo = [schema]
    while todo:
        found = todo.pop()
        if isinstance(found, dict):
            if "$ref" in found:
                return True
            todo += found.values()
        elif isinstance(found, list):
            todo += found
    return False


def _tool(document: dict[str, Any]) -> Tool:
    kind = document.get("type", "function")
    if kind != "function" and isinstance(kind, str):
        raise Unsupported("tools", "nearstream", f"a tool of type {kind!r} is none; send functions")
    function = _converted(document, ToolBody, "tools").function
    parameters = function.parameters if function.parameters is not None else function.arguments
    schema = {"type": "object"} | (_NOTHING if parameters is None else parameters)
    return Tool(function.name, function.description, msgspec.json.encode(schema).decode())


def _name(choice: str | dict[str, Any] | None) -> str:
    """Of a function, or "none", "auto", "required". An object is OpenAI's, or TGI's without a type."""
    if choice is None:
        return "auto"
    if isinstance(choice, str):
        return choice
    if "function" not in choice and isinstance(kind := choice.get("type"), str):
        return kind
    return _converted(choice, ToolBody, "tool_choice").function.name


def _converted(document: dict[str, Any], shape: type[Shape], where: str) -> Shape:
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        raise Misshapen(f"{where}: {error}") from error
