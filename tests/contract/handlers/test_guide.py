"""What docs/how-to/write-a-handler.md prints runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.contract.handlers.models import Models, call

DOCS = Path(__file__).parents[3] / "docs"
GUIDE = (DOCS / "how-to" / "write-a-handler.md").read_text()
MODELS = [
    block for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if block.startswith("# model.py")
]
CALLS: list[tuple[Any, bytes]] = [
    ({"name": "Ada"}, b'{\n  "greeting":"Hello, Ada"\n}'),
    (b"cat", b"gato"),
    ({"inputs": "Hello there"}, b'{"outputs": ["Hello "]}\n{"outputs": ["there "]}\n'),
    ({"count": 2}, b'{"outputs": [0]}\n{"outputs": [1]}\n'),
    ({"number": 4}, b'{\n  "doubled":8\n}'),
]


@pytest.mark.parametrize(("source", "body", "answer"), [(m, *c) for m, c in zip(MODELS, CALLS, strict=True)])
async def test_each_model_of_the_guide_answers(models: Models, source: str, body: Any, answer: bytes):
    async with models.open(source) as workers:
        assert (await call(workers, body)).body == answer
