"""Tools of a chat: which of them the model may call, and the schema that holds it to one of them.

As in TGI an absent `tool_choice` is "auto", and the choice decides alone: the model's answer is constrained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from nearstream.core.errors import Misshapen, ToolFailed
from nearstream.core.generation import Tool

Shape = TypeVar("Shape")
PROMPT = (
    'You can call one of the functions above: answer with {"name": function name, "arguments": its arguments '
    "as a JSON object}, with values, not variables."
)
_NOTHING: dict[str, Any] = {"properties": {}, "additionalProperties": False}
"""What a tool without parameters takes."""
_WORDS = {
    "type": "object",
    "properties": {"content": {"type": "string"}},
    "required": ["content"],
    "additionalProperties": False,
}


class ToolFunction(msgspec.Struct, frozen=True, kw_only=True):
    """`arguments` is TGI's older name of `parameters`."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    arguments: dict[str, Any] | None = None


class ToolBody(msgspec.Struct, frozen=True, kw_only=True):
    function: ToolFunction
    type: str = "function"


def chosen(tools: list[dict[str, Any]] | None, choice: str | dict[str, Any] | None) -> list[Tool]:
    """The tools of which the model may call one; none where it is to answer in words.

    Raises Misshapen, and ToolFailed where the choice names none of them.
    """
    if not tools or _name(choice) == "none":
        return []
    offered = [_tool(document) for document in tools]
    name = _name(choice)
    if name in {"auto", "required"}:
        return offered
    found = [tool for tool in offered if tool.name == name]
    if not found:
        raise ToolFailed(f"Tool with name {name} not found")
    return found


def may_answer_in_words(choice: str | dict[str, Any] | None) -> bool:
    return _name(choice) == "auto"


def call_schema(tools: Sequence[Tool], *, words: bool) -> dict[str, Any]:
    """The JSON schema of a call of one of `tools`; with `words`, of an answer in words as well."""
    forms = [_call(tool, index) for index, tool in enumerate(tools)] + ([_WORDS] if words else [])
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
