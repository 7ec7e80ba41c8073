"""The response object of /v1/responses, and the items of its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nearstream.core.generation import Finish, Token
from nearstream.core.ports import Identity
from nearstream.wire.dialects.openai.responses.bodies import ResponseBody

Status = Literal["in_progress", "completed", "incomplete", "failed"]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResponseForm:
    """What of the request a response repeats, and what it is to list."""

    body: ResponseBody
    identity: Identity
    logprobs: bool

    @property
    def id(self) -> str:
        return response_id(self.identity)

    def document(
        self,
        status: Status,
        output: Sequence[Mapping[str, Any]] = (),
        finish: Finish | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> Document:
        body = self.body
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.identity.created,
            "status": status,
            "background": False,
            "error": error,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "model": body.model or self.identity.model,
            "output": list(output),
            "parallel_tool_calls": bool(body.parallel_tool_calls),
            "previous_response_id": body.previous_response_id,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": body.store is not False,
            "temperature": 1.0 if body.temperature is None else body.temperature,
            "text": body.text if body.text and "format" in body.text else {"format": {"type": "text"}},
            "tool_choice": body.tool_choice or "auto",
            "tools": [_complete(tool) for tool in body.tools or ()],
            "top_logprobs": body.top_logprobs or 0,
            "top_p": 1.0 if body.top_p is None else body.top_p,
            "truncation": "disabled",
            "usage": None if finish is None else _usage(finish),
            "user": None,
            "metadata": body.metadata or {},
        }

    def listed(self, tokens: Sequence[Token]) -> list[Document]:
        """The log-probabilities of tokens, where they are wanted."""
        if not self.logprobs:
            return []
        return [
            {
                "token": token.text,
                "logprob": float(f"{token.logprob or 0.0:.8g}"),
                "bytes": list(token.text.encode()),
                "top_logprobs": [],
            }
            for token in tokens
            if not token.special
        ]


def response_id(identity: Identity) -> str:
    return f"resp_{identity.id}"


def message(item_id: str, status: Status, content: Sequence[Mapping[str, Any]]) -> Document:
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": list(content)}


def text_part(text: str, logprobs: Sequence[Document]) -> Document:
    return {"type": "output_text", "annotations": [], "logprobs": list(logprobs), "text": text}


def function_call(item_id: str, status: Status, call_id: str, name: str, arguments: str) -> Document:
    return {
        "id": item_id,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def ended(finish: Finish, *, cut: bool) -> Status:
    """`cut`: by the limit of tokens, not where a call happened to be whole."""
    return "incomplete" if finish.reason == "length" and cut else "completed"


def _complete(tool: Mapping[str, Any]) -> Document:
    return {"description": None, "parameters": None, "strict": None} | dict(tool)


def _usage(finish: Finish) -> Document:
    return {
        "input_tokens": finish.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": finish.generated_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": finish.prompt_tokens + finish.generated_tokens,
    }
