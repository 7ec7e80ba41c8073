"""What docs/reference/lmi/wire.md says is shown by tests that exist, and no parameter is left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.architecture.test_tgi_reference import ROW, TEST, named_in

from nearstream.wire.dialects.lmi_bodies import LmiBody, LmiParameters

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "lmi" / "wire.md"
STATUSES = ("same", "better", "refused with 424")


def rows() -> list[tuple[str, str, str]]:
    found = []
    for line in PAGE.read_text().splitlines():
        if line.startswith("|") and not line.startswith(("|---", "| what |")):
            row = ROW.match(line)
            assert row, line
            found.append((row["what"], row["status"], row["tests"]))
    return found


@pytest.mark.parametrize(("what", "status", "tests"), rows())
def test_each_row_names_a_status_and_tests_that_exist(what: str, status: str, tests: str):
    assert status.startswith(STATUSES), what
    named = TEST.findall(tests)
    assert named, f"{what}: no test"
    assert [f"{path}::{name}" for path, name in named if name not in named_in(path)] == []


def test_every_key_of_a_body_has_a_row():
    said = " ".join(what for what, _, _ in rows())
    keys = (*LmiBody.__struct_fields__, *LmiParameters.__struct_fields__)
    assert [key for key in keys if key != "parameters" and f"`{key}`" not in said] == []
