"""What docs/reference/tgi says is shown by tests that exist, and nothing that is served is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.architecture.reference import REFERENCE, Row, assert_shown, rows, unsaid
from tests.contract.openapi.routes import routes
from tests.contract.replica.scripted import settings

from nearstream.config.launcher import FLAGS

PAGES = (REFERENCE / "tgi.md", *sorted((REFERENCE / "tgi").glob("*.md")))
STATUSES = ("same", "better", "refused with 422", "accepted, logged")


@pytest.mark.parametrize("row", rows(*PAGES), ids=lambda row: row[0])
def test_each_row_names_a_status_and_tests_that_exist(row: Row):
    assert_shown(row, STATUSES)


async def test_every_route_has_a_row(tmp_path: Path):
    assert unsaid((" ".join(route) for route in await routes(settings(tmp_path))), PAGES) == []


def test_every_flag_of_the_launcher_has_a_row():
    said = " ".join(what for what, _, _ in rows(*PAGES))
    assert [flag.name for flag in FLAGS if f"`--{flag.name}`" not in said] == []


def test_a_flag_without_effect_is_said_to_have_none():
    rules = {name: status for what, status, _ in rows(*PAGES) for name in re.findall(r"`--([\w-]+)`", what)}
    told = {flag.name for flag in FLAGS if flag.reason}
    assert {name for name, status in rules.items() if status.startswith("accepted, logged")} == told
