"""Reads the tables of docs/reference: a row has what, a status and, in a comment, the tests that show it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
_ROW = re.compile(r"^\| (?P<what>.+?) \| (?P<status>[^|]+?) <!-- (?P<tests>[^|]+?) --> \|$")
_TEST = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")
_FORM = "a row is: | what | status <!-- tests/a_file.py::test_a_name tests/another.py::test_another --> |"

Row = tuple[str, str, str]
"""What, status and tests."""


def rows(*pages: Path) -> list[Row]:
    """Every row of every table, without the heads."""
    found = []
    for page in pages:
        for line in page.read_text().splitlines():
            if line.startswith("|") and not line.startswith(("|---", "| what |")):
                row = _ROW.match(line)
                assert row, f"{page.name}: {line}\n{_FORM}"
                found.append((row["what"], row["status"], row["tests"]))
    return found


def assert_shown(row: Row, statuses: Sequence[str]) -> None:
    """It has one of the statuses, and names tests, all of which exist."""
    what, status, tests = row
    assert status.startswith(tuple(statuses)), f"{what}: {status}"
    named = [_TEST.fullmatch(word) for word in tests.split()]
    assert named and all(named), f"{what}: {tests}\n{_FORM}"
    pairs = [match.groups() for match in named if match]
    assert [f"{path}::{name}" for path, name in pairs if name not in _named_in(path)] == []


def unsaid(names: Iterable[str], pages: Iterable[Path]) -> list[str]:
    """Those of the names that no row has in backticks."""
    said = " ".join(what for what, _, _ in rows(*pages))
    return [name for name in names if f"`{name}`" not in said]


@cache
def _named_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))
