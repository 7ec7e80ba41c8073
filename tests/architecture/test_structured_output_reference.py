"""The reference of structured output names every keyword, format and limit that the code knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nearstream.engines.grammars import process
from nearstream.grammars import automaton, compiled, keywords, rules, string_formats, ways
from nearstream.grammars.negation import EXCLUDED, FORBIDDEN, UNPATTERN

PAGE = (Path(__file__).parents[2] / "docs/reference/structured-output.md").read_text()
TABLE = PAGE.split("## Keywords")[1].split("## Regular")[0]
ROWS = [line.split("|")[1:3] for line in TABLE.splitlines() if "|" in line]
STATED = {name: stated for names, stated in ROWS for name in re.findall(r"`([^`]+)`", names)}
OWN = {EXCLUDED, FORBIDDEN, UNPATTERN}
WRITTEN = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "items", "prefixItems", "properties",
    "additionalProperties", "patternProperties", "contains", "allOf", "anyOf", "oneOf", "not", "if", "$ref",
}  # fmt: skip


@pytest.mark.parametrize("keyword", sorted((set(keywords._READERS) | WRITTEN) - OWN))
def test_a_keyword_that_is_read_is_said_to_be_enforced(keyword: str):
    assert "enforced" in STATED[keyword]


@pytest.mark.parametrize("keyword", sorted(keywords.REFUSED))
def test_a_keyword_that_is_refused_is_said_to_be(keyword: str):
    assert "refused" in STATED[keyword]


@pytest.mark.parametrize("name", sorted(string_formats.FORMATS))
def test_a_format_that_is_enforced_is_named(name: str):
    assert f"`{name}`" in STATED["format"]


@pytest.mark.parametrize(
    "limit",
    [
        compiled.MOST_SOURCE_BYTES, rules.MOST_STATES, rules.MOST_TIMES, automaton.MOST_AUTOMATON_STATES,
        ways.MOST_WAYS, process.LIMITS.processor_s,
    ],
)  # fmt: skip
def test_a_limit_is_told(limit: float):
    assert re.search(rf"\b{limit}\b", PAGE)
