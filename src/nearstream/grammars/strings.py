"""The strings of a branch: patterns, formats, lengths and exclusions, each as an automaton, or counted."""

from __future__ import annotations

from functools import lru_cache

from nearstream.grammars.automaton import Automaton, automaton, lengths
from nearstream.grammars.branches import Branch, Pattern
from nearstream.grammars.expressions import HIGHEST, Chars, Expr, Repeat, Seq, Text, alt, chars, repeat, seq
from nearstream.grammars.regex import counted, found, whole
from nearstream.grammars.rules import Rules
from nearstream.grammars.string_formats import FORMATS
from nearstream.grammars.texts import QUOTE, any_character, of_automaton, quoted

_WRITTEN_OUT = 300
_PREFIX = 2
_ALL = lengths(0, None)


def written(rules: Rules, branch: Branch) -> Expr:
    """The strings of a branch in JSON. Raises Invalid."""
    least, most = branch.min_length, branch.max_length
    if not branch.patterns and not branch.excluded:
        return seq(QUOTE, rules.times(any_character(), least, most), QUOTE)
    short = _counted(rules, branch)
    if short is not None:
        return seq(QUOTE, short, QUOTE)
    return of_automaton(rules, automaton_of(branch), in_json=True)


def automaton_of(branch: Branch) -> Automaton:
    """All that the strings of a branch have in common."""
    result = _ALL
    for pattern in sorted(branch.patterns, key=lambda pattern: (pattern.keyword, pattern.source)):
        taken = matcher(pattern, wide=not pattern.wanted)
        result = result.both(taken) if pattern.wanted else result.without(taken)
    if branch.min_length or branch.max_length is not None:
        result = result.both(lengths(branch.min_length, branch.max_length))
    if branch.excluded:
        result = result.without(automaton(alt(Text(text) for text in sorted(branch.excluded))))
    return result


def matcher(pattern: Pattern, *, wide: bool) -> Automaton:
    """The texts in which a pattern is found; `wide`: all those in which it may be. Raises Invalid."""
    try:
        return _matcher(pattern.source, pattern.keyword == "format", wide)
    except ValueError as error:
        raise pattern.place.refusal(pattern.keyword, f"{pattern.source!r}: {error}") from None


@lru_cache(maxsize=256)
def _matcher(source: str, of_format: bool, wide: bool) -> Automaton:
    return automaton(whole(FORMATS[source]) if of_format else found(source, wide=wide))


def _counted(rules: Rules, branch: Branch) -> Expr | None:
    """Where one pattern of one thing after another is all there is: as it stands, long repeats as blocks."""
    body = _lone_pattern(branch)
    least, most = branch.min_length, branch.max_length
    if isinstance(body, Repeat) and isinstance(body.item, Chars):
        highest = [bound for bound in (most, body.most) if bound is not None]
        return rules.times(quoted(body.item.spans), max(least, body.least), min(highest, default=None))
    bounded = least or most is not None
    if body is None or bounded or not counted(body) or _longest(body) < _WRITTEN_OUT:
        return None
    return _quoted(rules, body)


def _lone_pattern(branch: Branch) -> Expr | None:
    """The one pattern that the strings have to match, where nothing but lengths is asked beside it."""
    if len(branch.patterns) != 1 or branch.excluded:
        return None
    pattern = next(iter(branch.patterns))
    if not pattern.wanted or pattern.keyword == "format":
        return None
    try:
        return found(pattern.source)
    except ValueError:  # told by `matcher`, with the pattern's place
        return None


def _longest(body: Expr) -> int:
    items = body.items if isinstance(body, Seq) else (body,)
    return sum(max(item.least, item.most or 0) for item in items if isinstance(item, Repeat))


def _quoted(rules: Rules, body: Expr) -> Expr:
    if isinstance(body, Chars):
        return quoted(body.spans)
    if isinstance(body, Text):
        return seq(*(quoted(((ord(c), ord(c)),)) for c in body.text))
    if isinstance(body, Repeat):
        return rules.times(_quoted(rules, body.item), body.least, body.most)
    if isinstance(body, Seq):
        return seq(*(_quoted(rules, item) for item in body.items))
    raise TypeError("only what is counted")


def keys_but(names: frozenset[str], other: Automaton | None = None) -> Automaton:
    """All texts but these; where they are many, none that begins as one of them does."""
    result = _ALL if other is None else other
    if not names:
        return result
    if sum(map(len, names)) <= _WRITTEN_OUT // 4:
        return result.without(automaton(alt(Text(name) for name in sorted(names))))
    anything = repeat(chars(((0, HIGHEST),)))
    begins = {name[:_PREFIX] for name in names if len(name) >= _PREFIX}
    short = {name for name in names if len(name) < _PREFIX}
    ways = [
        *(seq(Text(begin), anything) for begin in sorted(begins)),
        *(Text(name) for name in sorted(short)),
    ]
    return result.without(automaton(alt(ways)))
