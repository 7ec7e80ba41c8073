"""The types that the OpenAPI document is made of fit what the encoders write, to the last key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearstream.wire.dialects.completions import shapes as openai_shapes
from nearstream.wire.dialects.tgi import shapes
from nearstream.wire.framing import sse

ANSWERS = Path(__file__).parent / "answers"
WHOLE = {
    "chat.completion": openai_shapes.ChatCompletion,
    "text_completion": openai_shapes.CompletionResponse,
    None: shapes.GenerateResponse,
}
EVENT = {
    "chat.completion.chunk": openai_shapes.ChatCompletionChunk,
    "text_completion": openai_shapes.Chunk,
    None: shapes.StreamResponse,
}


def event_shape(event: dict[str, Any]) -> type:
    if "error" in event:
        return shapes.ErrorBody if isinstance(event["error"], str) else openai_shapes.StreamError
    return EVENT[event.get("object")]


@pytest.mark.parametrize("name", sorted(path.name for path in ANSWERS.glob("*.json")))
def test_a_whole_answer_has_the_shape_that_is_described(name: str):
    answer = msgspec.json.decode((ANSWERS / name).read_bytes())
    for one in answer if isinstance(answer, list) else [answer]:
        msgspec.convert(one, WHOLE[one.get("object")])


@pytest.mark.parametrize("name", sorted(path.name for path in ANSWERS.glob("*.sse")))
def test_every_event_has_the_shape_that_is_described(name: str):
    for event in sse.Decoder().feed((ANSWERS / name).read_bytes()):
        if event.data != b"[DONE]":
            told = msgspec.json.decode(event.data)
            msgspec.convert(told, event_shape(told))
