"""The types that the OpenAPI document is made of fit what the encoders write, to the last key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearstream.wire.dialects import openai_shapes, shapes
from nearstream.wire.framing import sse

ANSWERS = Path(__file__).parent / "answers"
WHOLE: dict[str, Any] = {
    "tgi-root": list[shapes.GenerateResponse],
    "tgi-": shapes.GenerateResponse,
    "openai-chat": openai_shapes.ChatCompletion,
    "openai-completion": openai_shapes.CompletionResponse,
}
EVENT: dict[str, Any] = {
    "tgi-": shapes.StreamResponse,
    "openai-chat": openai_shapes.ChatCompletionChunk,
    "openai-completion": openai_shapes.Chunk,
}
ERROR = {"tgi-": shapes.ErrorResponse, "openai-": openai_shapes.StreamError}


def shape(table: dict[str, Any], name: str) -> Any:
    return next(kind for prefix, kind in table.items() if name.startswith(prefix))


@pytest.mark.parametrize("name", sorted(path.name for path in ANSWERS.glob("*.json")))
def test_a_whole_answer_has_the_shape_that_is_described(name: str):
    msgspec.json.decode((ANSWERS / name).read_bytes(), type=shape(WHOLE, name))


@pytest.mark.parametrize("name", sorted(path.name for path in ANSWERS.glob("*.sse")))
def test_every_event_has_the_shape_that_is_described(name: str):
    for event in sse.Decoder().feed((ANSWERS / name).read_bytes()):
        if event.data == b"[DONE]":
            continue
        failed = event.data.startswith(b'{"error"')
        msgspec.json.decode(event.data, type=shape(ERROR if failed else EVENT, name))
