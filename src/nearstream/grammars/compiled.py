"""A grammar as a request names it, in rules; refused where it is not expressed or too large."""

from __future__ import annotations

import json

from nearstream.core.errors import Invalid
from nearstream.core.generation import Grammar
from nearstream.grammars.automaton import automaton
from nearstream.grammars.calls import call_rules
from nearstream.grammars.expressions import Expr, Repeat, Seq, seq
from nearstream.grammars.regex import counted, whole
from nearstream.grammars.rules import ROOT, Rules, too_large
from nearstream.grammars.texts import of_automaton
from nearstream.grammars.writer import schema_rules

MOST_SOURCE_BYTES = 1 << 18


def compiled(grammar: Grammar) -> Rules:
    """Raises Invalid."""
    if len(grammar.source.encode()) > MOST_SOURCE_BYTES:
        raise too_large(f"its text has more than {MOST_SOURCE_BYTES} bytes")
    if grammar.kind == "regex":
        return _regex_rules(grammar.source)
    if grammar.kind == "tool_calls":
        return call_rules(grammar.source)
    try:
        schema = json.loads(grammar.source)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"grammar is not valid: {error}") from None
    if not isinstance(schema, bool | dict):
        raise Invalid("grammar is not valid: a JSON schema is an object")
    return schema_rules(schema)


def _regex_rules(pattern: str) -> Rules:
    try:
        body = whole(pattern)
    except ValueError as error:
        raise Invalid(f"grammar is not valid: {error}") from None
    rules = Rules()
    body = _counted(rules, body) if counted(body) else of_automaton(rules, automaton(body), in_json=False)
    rules.once(ROOT, lambda: body)
    pruned = rules.pruned()
    if not pruned.possible:
        raise Invalid("grammar is not valid: no text matches the pattern")
    return pruned


def _counted(rules: Rules, body: Expr) -> Expr:
    items = body.items if isinstance(body, Seq) else (body,)
    return seq(
        *(
            rules.times(item.item, item.least, item.most) if isinstance(item, Repeat) else item
            for item in items
        )
    )
