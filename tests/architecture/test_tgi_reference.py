"""What docs/reference/tgi says is shown by tests that exist, and nothing that is served is left out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from tests.contract.openapi.routes import routes
from tests.contract.replica.scripted import settings

from nearstream.config.launcher import FLAGS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "reference" / "tgi.md", *sorted((ROOT / "docs" / "reference" / "tgi").glob("*.md"))]
STATUSES = ("same", "better", "refused with 422", "accepted, logged")
ROW = re.compile(r"^\| (?P<what>.+?) \| (?P<status>.+?) \| (?P<tests>.+?) \|$")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> list[tuple[str, str, str]]:
    """What, status and tests of every row of every table, without the heads."""
    found = []
    for page in PAGES:
        for line in page.read_text().splitlines():
            if line.startswith("|") and not line.startswith(("|---", "| what |")):
                row = ROW.match(line)
                assert row, f"{page.name}: {line}"
                found.append((row["what"], row["status"], row["tests"]))
    return found


@cache
def named_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


@pytest.mark.parametrize(("what", "status", "tests"), rows())
def test_each_row_names_a_status_and_tests_that_exist(what: str, status: str, tests: str):
    assert status.startswith(STATUSES), what
    named = TEST.findall(tests)
    assert named, f"{what}: no test"
    assert [f"{path}::{name}" for path, name in named if name not in named_in(path)] == []


async def test_every_route_has_a_row(tmp_path: Path):
    said = " ".join(what for what, _, _ in rows())
    assert [route for route in await routes(settings(tmp_path)) if f"`{' '.join(route)}`" not in said] == []


def test_every_flag_of_the_launcher_has_a_row():
    said = " ".join(what for what, _, _ in rows())
    assert [flag.name for flag in FLAGS if f"`--{flag.name}`" not in said] == []


def test_a_flag_without_effect_is_said_to_have_none():
    rules = {name: status for what, status, _ in rows() for name in re.findall(r"`--([\w-]+)`", what)}
    told = {flag.name for flag in FLAGS if flag.fate}
    assert {name for name, status in rules.items() if status.startswith("accepted, logged")} == told
