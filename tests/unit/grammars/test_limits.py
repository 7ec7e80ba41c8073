"""What makes a grammar too large is refused at once, naming the limit; what people use is not."""

from __future__ import annotations

import json
import random
import re
import time
from typing import Any

import pytest
from tests.unit.grammars.sampling import Sampler

from nearstream.core.errors import Invalid
from nearstream.core.generation import Grammar
from nearstream.grammars.compiled import compiled

BOMBS = [
    "(x{1000}){1000}",
    "((a{1,1000}){1,1000}){1,1000}",
    "(ab){600000}",
    "(a|b)*a(a|b){20}",
    "[a-z]{999999}",
    "a{99999999999999999999}",
    "(((a*)*b*)*|c{5000}){5000}",
    "(a|aa)*" * 2000,
    "(" * 5000 + ")" * 5000,
    "x" * 30_000,
]


def _doubling() -> dict[str, Any]:
    """Twice as many ways at each of forty levels."""
    schemas: dict[str, Any] = {"d40": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}}
    for n in range(40):
        ways = [{"required": [f"x{n}"]}, {"required": [f"y{n}"]}]
        schemas[f"d{n}"] = {"anyOf": ways, "allOf": [{"$ref": f"#/$defs/d{n + 1}"}]}
    return {"$defs": schemas, "$ref": "#/$defs/d0"}


def _many_patterns() -> dict[str, Any]:
    forms = {
        f"p{n}": {"type": "string", "pattern": "^[a-z]{1,200}x$", "maxLength": 150 + n} for n in range(999)
    }
    return {"type": "object", "properties": forms}


SCHEMA_BOMBS: list[Any] = [
    {"enum": [f"word {n}" for n in range(50_000)]},
    {"type": "string", "pattern": "(x{1000}){1000}"},
    {"type": "array", "items": {"type": "integer", "multipleOf": 99_991}},
    {"type": "string", "maxLength": 10_000_000},
    {"type": "string", "pattern": "a", "maxLength": 60_000},
    {"allOf": [{"anyOf": [{"required": [f"a{n}"]}, {"required": [f"b{n}"]}]} for n in range(30)]},
    _many_patterns(),
    _doubling(),
]


@pytest.mark.parametrize("pattern", BOMBS, ids=lambda pattern: pattern[:30])
def test_a_pattern_that_is_too_large_is_refused_at_once(pattern: str):
    began = time.perf_counter()
    with pytest.raises(Invalid, match="grammar is not valid: it is too large"):
        compiled(Grammar("regex", pattern))
    assert time.perf_counter() - began < 3  # 0.2 s alone


@pytest.mark.parametrize("schema", SCHEMA_BOMBS, ids=lambda schema: json.dumps(schema)[:60])
def test_a_schema_that_is_too_large_is_refused_at_once(schema: object):
    began = time.perf_counter()
    with pytest.raises(Invalid, match="grammar is not valid: it is too large"):
        compiled(Grammar("json_schema", json.dumps(schema)))
    assert time.perf_counter() - began < 3


@pytest.mark.parametrize(
    "pattern",
    [
        "[0-9]{3}-[abc]z", "(yes|no|maybe)", r"\d{4}-\d{2}-\d{2}", "[^\\n]{1,2000}",
        r"(\w+ ){1,20}\w+\.", "(a|aa)*b",
        "(?:foo|bar)+", "(?P<year>\\d+)", r"\p{Lu}\p{L}*", "^abc$", "a{2,}", "[]a]+",
        "[a-]", "\\x41\\u0042", ".*",
    ],
)  # fmt: skip
def test_what_a_pattern_takes_is_what_pythons_takes(pattern: str):
    sampler = Sampler(compiled(Grammar("regex", pattern)), random.Random(2))
    python = re.sub(r"\\p\{L[ul]?\}", "[^\\\\W\\\\d_]", pattern)
    for _ in range(30):
        text = sampler.text()
        assert re.fullmatch(python, text), text


@pytest.mark.parametrize(
    "pattern",
    [
        "(a",
        "a)",
        "[a",
        "*a",
        "a**",
        "(?=a)",
        "(?<!a)b",
        "(a)\\1",
        "\\bword",
        "a^b",
        "a++",
        "a{3,2}",
        "[z-a]",
        "\\p{Greek}",
    ],
)
def test_a_pattern_that_is_not_read_is_refused(pattern: str):
    with pytest.raises(Invalid, match="grammar is not valid"):
        compiled(Grammar("regex", pattern))


def test_a_repeat_beyond_what_the_engine_writes_out_is_made_of_blocks():
    written = compiled(
        Grammar("json_schema", '{"type": "string", "minLength": 300, "maxLength": 5000}')
    ).ebnf()
    assert max(int(times) for times in re.findall(r",(\d+)\}", written)) <= 128
    sampler = Sampler(compiled(Grammar("regex", "a{300,301}")), random.Random(3))
    assert {len(sampler.text()) for _ in range(20)} == {300, 301}
