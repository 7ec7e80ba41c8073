"""What a model may answer that may or must call functions: calls, words, or words and then calls.

A call is a JSON object, as it stands or within the `<tool_call>` tags that many models are trained to write.
An answer that does not begin like a call is free text.
"""

from __future__ import annotations

import json

from nearstream.core.errors import Invalid
from nearstream.grammars.automaton import automaton
from nearstream.grammars.expressions import Expr, Text, alt, optional, repeat, seq
from nearstream.grammars.regex import whole
from nearstream.grammars.rules import ROOT, Rules
from nearstream.grammars.texts import of_automaton
from nearstream.grammars.writer import schema_value

OPENING, CLOSING = "<tool_call>", "</tool_call>"
_CALL = "call"
_BLANK = optional(Text("\n"))
_WORDS = r"([ \n]{0,2}[^{ \n][\s\S]*)?"


def call_rules(source: str) -> Rules:
    """`source` is JSON: the `schema` of a call, whether `words` may come instead, `most` calls in a row.

    With a schema `otherwise` an answer that is no call is a value that meets it. Raises Invalid.
    """
    offered = json.loads(source)
    rules, most = Rules(), offered["most"]
    call = rules.once(_CALL, lambda: schema_value(rules, offered["schema"]))
    tagged = rules.add(seq(Text(OPENING), _BLANK, call, _BLANK, Text(CLOSING)))
    in_tags = _listed(rules, tagged, most)
    ways = [_listed(rules, call, most), in_tags]
    if "otherwise" in offered:
        ways.append(schema_value(rules, offered["otherwise"]))
    elif offered["words"]:
        free = automaton(whole(_WORDS)).without(automaton(whole(rf"[\s\S]*{OPENING}[\s\S]*")))
        words = of_automaton(rules, free, in_json=False)
        ways += [words, seq(words, in_tags)]
    root = alt(ways)
    rules.once(ROOT, lambda: root)
    pruned = rules.pruned()
    if not pruned.has(_CALL):
        raise Invalid("grammar is not valid: no arguments can meet the schema")
    return pruned


def _listed(rules: Rules, item: Expr, most: int) -> Expr:
    """One or several, a line each."""
    return seq(item, repeat(rules.add(seq(_BLANK, item)), 0, most - 1))
