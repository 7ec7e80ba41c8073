"""Which model runs in place of another."""

from __future__ import annotations

import pytest

from nearstream.core.aliases import apply_aliases

ALIASES = (("*", "builtin"), ("meta-llama/*", "llama"), ("tiiuae/falcon-7b-instruct", "small"))


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        ("tiiuae/falcon-7b-instruct", "small"),
        ("meta-llama/Llama-3-8B", "builtin"),
        ("any", "builtin"),
        ("", "builtin"),
    ],
)
def test_its_own_alias_comes_before_the_first_pattern(asked: str, runs: str) -> None:
    assert apply_aliases(asked, ALIASES) == runs


def test_without_an_alias_a_name_stands_for_itself() -> None:
    assert apply_aliases("org/name", [("other", "builtin")]) == "org/name"
