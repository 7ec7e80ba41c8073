"""Responses that are kept in memory for `previous_response_id` and /v1/responses/{id}, within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from nearstream.core.errors import Missing
from nearstream.wire.dialects.completions.bodies import ChatTurn

MOST_KEPT = 1024
MOST_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response, the items that it answers, and the conversation up to its end."""

    body: bytes
    input: tuple[dict[str, Any], ...]
    turns: tuple[ChatTurn, ...]

    @property
    def size_bytes(self) -> int:
        return len(self.body) + len(msgspec.json.encode(self.turns)) + len(msgspec.json.encode(self.input))


class ResponseStore:
    """The newest responses; older ones are forgotten first."""

    def __init__(self, *, most: int = MOST_KEPT, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, tuple[StoredResponse, int]] = OrderedDict()
        self._bytes = 0

    def keep(self, response_id: str, response: StoredResponse) -> None:
        size = response.size_bytes
        self._kept[response_id] = response, size
        self._bytes += size
        while self._kept and (len(self._kept) > self._most or self._bytes > self._most_bytes):
            _, (_, dropped) = self._kept.popitem(last=False)
            self._bytes -= dropped

    def find(self, response_id: str) -> StoredResponse:
        """Raises Missing."""
        if response_id not in self._kept:
            raise Missing(
                f"there is no response `{response_id}`: it was not stored, was deleted, or is older than the "
                f"{self._most} that are kept until the server ends"
            )
        return self._kept[response_id][0]

    def delete(self, response_id: str) -> None:
        """Raises Missing."""
        self.find(response_id)
        _, size = self._kept.pop(response_id)
        self._bytes -= size


def items(given: str | Sequence[dict[str, Any]], response_id: str) -> tuple[dict[str, Any], ...]:
    """The input of a response as /v1/responses/{id}/input_items lists it."""
    told = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return tuple([_item(item, f"item_{response_id}_{at}") for at, item in enumerate(told)])


def _item(item: dict[str, Any], item_id: str) -> dict[str, Any]:
    content = item.get("content")
    if isinstance(content, str):
        kind = "output_text" if item.get("role") == "assistant" else "input_text"
        item = item | {"content": [{"type": kind, "text": content, "annotations": []}]}
    return {"id": item_id, "type": "message", "status": "completed"} | item
