"""The body of /v1/responses: its fields, and the chat that it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nearstream.core.errors import OptionInvalid, Unsupported
from nearstream.wire.dialects.completions.bodies import CalledFunction, CalledTool, ChatBody, ChatTurn
from nearstream.wire.dialects.completions.fields import HINTS as COMPLETION_HINTS
from nearstream.wire.dialects.json_bodies import Count

LOGPROBS = "message.output_text.logprobs"
HINTS: Mapping[str, str] = {name: COMPLETION_HINTS[name] for name in (
    "user", "safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention",
)} | {
    "reasoning": "the model's own templates know no degrees",
    "max_tool_calls": "counts calls of tools that a server has itself, and there are none",
    "stream_options": "events hold no padding",
}  # fmt: skip
"""Fields that are accepted though they change nothing, and why they do not."""
REFUSED: Mapping[str, str] = {
    "access_programs": "",
    "background": "ask for a stream",
    "context_management": "",
    "conversation": "send `previous_response_id`",
    "image": "the model writes text only",
    "moderation": "there is none",
    "prompt": "send `instructions` and `input`",
}
"""Fields that would change the answer, and what to do instead."""
_INCLUDED = frozenset({LOGPROBS, "reasoning.encrypted_content"})


class ResponseBody(msgspec.Struct, frozen=True, kw_only=True):
    input: str | list[dict[str, Any]] = ""
    model: str | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: dict[str, Any] | None = None
    max_output_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Count | None = None
    include: list[str] | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    truncation: str | None = None
    metadata: dict[str, str] | None = None


def check(body: ResponseBody) -> None:
    """What can be said of the fields one by one. Raises OptionInvalid, Unsupported."""
    if body.truncation not in {None, "disabled"}:
        raise Unsupported("truncation", "nearstream", "shorten `input`")
    for name in body.include or ():
        if name not in _INCLUDED:
            raise Unsupported("include", "nearstream", f"there is no {name!r}")
    if not body.input:
        raise OptionInvalid("input", "`input` is empty: send text or at least one item")


def chat_of(body: ResponseBody, earlier: Sequence[ChatTurn]) -> ChatBody:
    """The same request as a chat that goes on from `earlier` turns. Raises OptionInvalid, Unsupported."""
    instructions = [ChatTurn("system", body.instructions)] if body.instructions else []
    return ChatBody(
        messages=[*instructions, *earlier, *turns(body.input)],
        model=body.model,
        max_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stream=body.stream,
        logprobs=LOGPROBS in (body.include or ()) or None,
        top_logprobs=body.top_logprobs,
        tools=[_nested(tool) for tool in body.tools or ()],
        tool_choice=_choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=_format(body.text),
    )


def turns(items: str | Sequence[Mapping[str, Any]]) -> list[ChatTurn]:
    """Items as turns of a chat; calls that follow each other are one turn. Raises OptionInvalid."""
    if isinstance(items, str):
        return [ChatTurn("user", items)]
    found: list[ChatTurn] = []
    for at, item in enumerate(items):
        kind = item.get("type", "message")
        if kind == "function_call":
            _add_call(found, item, at)
        elif kind == "function_call_output":
            found.append(_result(item, at))
        elif kind == "message":
            found.append(_message(item, at))
        elif kind != "reasoning":
            raise Unsupported("input", "nearstream", f"input[{at}]: there are no items of type {kind!r}")
    return found


def _message(item: Mapping[str, Any], at: int) -> ChatTurn:
    role, content = item.get("role"), item.get("content")
    if not isinstance(role, str):
        raise OptionInvalid("input", f"input[{at}]: a message has a `role`")
    if not isinstance(content, str | list):
        raise OptionInvalid("input", f"input[{at}]: a turn of role {role!r} has no `content`")
    return ChatTurn(role, content)


def _add_call(found: list[ChatTurn], item: Mapping[str, Any], at: int) -> None:
    name, arguments, call_id = (_text(item, key, at) for key in ("name", "arguments", "call_id"))
    call = CalledTool(CalledFunction(name, arguments), call_id)
    last = found[-1] if found else None
    if last is not None and last.role == "assistant":
        found[-1] = msgspec.structs.replace(last, tool_calls=[*(last.tool_calls or ()), call])
    else:
        found.append(ChatTurn("assistant", tool_calls=[call]))


def _result(item: Mapping[str, Any], at: int) -> ChatTurn:
    output = item.get("output")
    if not isinstance(output, str | list):
        raise OptionInvalid("input", f"input[{at}]: a function_call_output has an `output`")
    return ChatTurn("tool", output, tool_call_id=_text(item, "call_id", at))


def _text(item: Mapping[str, Any], key: str, at: int) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise OptionInvalid("input", f"input[{at}]: an item of type {item.get('type')!r} has a `{key}`")
    return value


def _nested(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as chats have it: what is said of a function stands under `function`."""
    if tool.get("type") != "function" or "function" in tool:
        return tool
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def _choice(choice: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    if isinstance(choice, dict) and choice.get("type") == "function" and "name" in choice:
        return _nested(choice)
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        tools = [_nested(tool) for tool in choice.get("tools") or ()]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode"), "tools": tools}}
    return choice


def _format(text: dict[str, Any] | None) -> dict[str, Any] | None:
    wanted = (text or {}).get("format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return wanted
    return {"type": "json_schema", "json_schema": {name: wanted[name] for name in wanted if name != "type"}}
