"""Which model runs in place of the one that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

Aliases = Sequence[tuple[str, str]]
"""(asked, runs) in order; `asked` is a model id or a pattern of one, "*" for any."""


def apply_aliases(requested: str, aliases: Aliases) -> str:
    """What runs for `requested`: its own alias, else the first pattern that matches, else itself."""
    exact = (runs for asked, runs in aliases if asked == requested)
    matching = (runs for asked, runs in aliases if fnmatchcase(requested, asked))
    return next(exact, None) or next(matching, None) or requested
