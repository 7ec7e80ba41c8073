"""What docs/how-to/write-a-handler.md prints runs, and docs/reference/lmi/handlers.md leaves nothing out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.architecture.test_tgi_reference import ROW, TEST, named_in
from tests.contract.handlers.models import Models, call

from nearstream.handlers.runtime.djl_python import Input, Output

DOCS = Path(__file__).parents[3] / "docs"
GUIDE = (DOCS / "how-to" / "write-a-handler.md").read_text()
REFERENCE = (DOCS / "reference" / "lmi" / "handlers.md").read_text()
MODELS = [
    block for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if block.startswith("# model.py")
]
STATUSES = ("same", "better", "not there")
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


def rows() -> list[tuple[str, str, str]]:
    lines = [line for line in REFERENCE.splitlines() if line.startswith("|")]
    matches = [ROW.match(line) for line in lines if not line.startswith(("|---", "| what |"))]
    assert all(matches)
    return [(match["what"], match["status"], match["tests"]) for match in matches if match]


@pytest.mark.parametrize(("what", "status", "tests"), rows())
def test_each_row_of_the_reference_names_a_status_and_tests_that_exist(what: str, status: str, tests: str):
    assert status.startswith(STATUSES), what
    named = TEST.findall(tests)
    assert named and all(name in named_in(path) for path, name in named), what


@pytest.mark.parametrize("kind", [Input, Output])
def test_every_method_has_a_row(kind: type):
    said = " ".join(what for what, _, _ in rows())
    methods = [name for name in vars(kind) if not name.startswith("_") and callable(getattr(kind, name))]
    assert [name for name in methods if not re.search(rf"`{name}\b", said)] == []
