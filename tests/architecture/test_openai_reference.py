"""What docs/reference/openai.md says is shown by tests that exist, and no field is left out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.architecture.reference import REFERENCE, Row, assert_shown, rows

from nearstream.wire.dialects.completions import fields
from nearstream.wire.dialects.openai.responses import bodies

PAGE = REFERENCE / "openai.md"
STATUSES = ("honoured", "hint", "refused")


@pytest.mark.parametrize("row", rows(PAGE), ids=[f"{at} {row[0]}" for at, row in enumerate(rows(PAGE))])
def test_each_row_names_a_status_and_tests_that_exist(row: Row):
    assert_shown(row, STATUSES)


@pytest.mark.parametrize(
    ("status", "table"),
    [
        ("hint", fields.HINTS),
        ("refused", fields.REFUSED),
        ("hint", bodies.HINTS),
        ("refused", bodies.REFUSED),
    ],
    ids=["hints", "refused", "hints to a response", "refused in a response"],
)
def test_each_hint_and_each_refused_field_has_a_row_that_says_why(status: str, table: Mapping[str, str]):
    told = {(what, said) for what, said, _ in rows(PAGE)}
    for name, why in table.items():
        assert (f"`{name}`", f"{status}: {why}" if why else status) in told
