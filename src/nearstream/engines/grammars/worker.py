"""Writes grammars in EBNF, one for each call: what runs in the process of `GrammarProcess`."""

from __future__ import annotations

import json

from nearstream.core.errors import Invalid
from nearstream.core.generation import Grammar
from nearstream.grammars.compiled import compiled
from nearstream.workers.inside import run_bounded


def answer(body: bytes) -> bytes:
    """`[EBNF, null]` or `[null, refusal]` for `[kind, source]`, all as JSON; for no bytes none."""
    if not body:
        return b""
    kind, source = json.loads(body)
    try:
        return json.dumps([compiled(Grammar(kind, source)).ebnf(), None]).encode()
    except Invalid as refused:
        return json.dumps([None, str(refused)]).encode()


if __name__ == "__main__":
    run_bounded(answer)
