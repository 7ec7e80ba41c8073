"""A JSON schema as rules in which a blank is one space at most, members in the schema's order.

A member that no schema names is written only where a schema asks for it, by `additionalProperties` or by
naming none at all; its name is never one that the schema knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nearstream.core.errors import Invalid
from nearstream.grammars.admission import admits, item_places, meets, member_places
from nearstream.grammars.arrays import distinct, listed
from nearstream.grammars.automaton import Automaton
from nearstream.grammars.branches import Branch, Literal
from nearstream.grammars.document import Document, Place
from nearstream.grammars.expressions import NEVER, Expr, Ref, Text, alt, optional, repeat, seq
from nearstream.grammars.numerals import any_integer, any_number, decimals, integers
from nearstream.grammars.objects import Member, Others, members
from nearstream.grammars.rules import ROOT, Rules
from nearstream.grammars.strings import automaton_of, keys_but, matcher, written
from nearstream.grammars.texts import QUOTE, any_character, literal, of_automaton
from nearstream.grammars.ways import Ways, literals


def schema_rules(schema: bool | dict[str, Any]) -> Rules:
    """The grammar of a schema. Raises Invalid for what is refused, in the words of the keyword that is."""
    rules = Rules()
    root = schema_value(rules, schema)
    rules.once(ROOT, lambda: root)
    pruned = rules.pruned()
    if not pruned.possible:
        raise Invalid("grammar is not valid: no value can meet the schema")
    return pruned


def schema_value(rules: Rules, schema: bool | dict[str, Any]) -> Expr:
    """A value that meets a schema, as a part of `rules`. Raises Invalid as `schema_rules` does."""
    try:
        return _Writer(Document(schema), rules).root()
    except RecursionError:
        raise Invalid("grammar is not valid: its schemas are nested too deep") from None


class _Writer:
    """Writes a rule for each set of schemas that apply together."""

    def __init__(self, document: Document, rules: Rules) -> None:
        self._root = document.root
        self._ways = Ways(document)
        self._rules = rules
        self._by_places: dict[frozenset[Place], Ref] = {}

    def root(self) -> Expr:
        return self._value((self._root,))

    def _value(self, places: Iterable[Place]) -> Expr:
        """A reference to what meets all these schemas."""
        key = frozenset(place for place in places if place.schema is not True)
        if key not in self._by_places:
            name = self._rules.name()
            self._by_places[key] = Ref(name)
            branches = self._ways.together(key)
            self._rules.set(name, alt(self._branch(branch) for branch in branches))
        return self._by_places[key]

    def _branch(self, branch: Branch) -> Expr:
        if branch == Branch():
            return self._any()
        values = literals(branch)
        if values is not None:
            return alt(literal(value.value) for value in values if meets(self._ways, branch, value.value))
        return alt(self._of_type(kind, branch) for kind in sorted(branch.types))

    def _of_type(self, kind: str, branch: Branch) -> Expr:
        if kind == "null":
            return Text("null")
        if kind == "boolean":
            return self._boolean()
        if kind == "number":
            return self._number(branch)
        if kind == "string":
            return self._string(branch)
        return self._rules.add(self._array(branch) if kind == "array" else self._object(branch))

    def _number(self, branch: Branch) -> Expr:
        if branch.low is None and branch.high is None and branch.multiple == 1:
            return self._integer() if branch.integral else self._decimal()
        if branch.integral:
            found = integers(branch.low, branch.high, branch.multiple)
            return of_automaton(self._rules, found, in_json=False) if isinstance(found, Automaton) else found
        try:
            return self._rules.add(decimals(branch.low, branch.high))
        except ValueError as error:
            raise Invalid(f"grammar is not valid: `minimum` and `maximum`: {error}") from None

    def _string(self, branch: Branch) -> Expr:
        plain = not (branch.patterns or branch.excluded or branch.min_length) and branch.max_length is None
        return self._text() if plain else self._rules.add(written(self._rules, branch))

    def _array(self, branch: Branch) -> Expr:
        least, most = branch.min_items, branch.max_items
        hits = [place for place, times in branch.contains for _ in range(times)]
        least = max(least, len(hits))
        if most is not None and most < least:
            return NEVER
        if branch.unique and (most is None or most > 1):
            return self._distinct(branch, branch.unique, hits)
        first = max([len(hits), *(len(items.prefix) for items in branch.items)])
        named = any(items.prefix for items in branch.items) and all(
            items.rest is None for items in branch.items
        )
        if named and least <= first:
            most = first if most is None else min(most, first)
        prefix = [self._value((*item_places(branch, n), *hits[n : n + 1])) for n in range(first)]
        rest = self._value(item_places(branch, first))
        return listed(self._rules, prefix, rest, (least, most), (self._comma(), self._blank()))

    def _distinct(self, branch: Branch, place: Place, hits: list[Place]) -> Expr:
        values = (
            None
            if hits or any(items.prefix for items in branch.items)
            else self._finite(item_places(branch, 0))
        )
        if values is None:
            raise place.refusal(
                "uniqueItems", "is supported for items that are an enum, or for one item at most"
            )
        told = [literal(value.value) for value in values]
        return distinct(self._rules, told, branch.min_items, branch.max_items, (self._comma(), self._blank()))

    def _finite(self, places: Iterable[Place]) -> list[Literal] | None:
        """All values that meet these schemas, where they are told one by one."""
        found: dict[Literal, None] = {}
        for branch in self._ways.together(places):
            values = literals(branch)
            if values is None:
                return None
            found.update((value, None) for value in values if meets(self._ways, branch, value.value))
        return list(found)

    def _object(self, branch: Branch) -> Expr:
        names = [name for one in branch.members for name, _ in one.named]
        names = list(dict.fromkeys((*names, *sorted(branch.required))))
        told = [
            self._member(branch, name)
            for name in names
            if name not in branch.forbidden or name in branch.required
        ]
        others = (
            []
            if branch.closed
            else self._others(branch, frozenset(names) | branch.forbidden, open_to_all=not names)
        )
        least, most = branch.min_members, branch.max_members
        if others and branch.sparse and least > len(branch.required) + 1:
            raise branch.sparse.refusal(
                "minProperties",
                "is supported up to one more than the required members where others are allowed",
            )
        return members(self._rules, told, Others(alt(others), least, most), (self._comma(), self._blank()))

    def _member(self, branch: Branch, name: str) -> Member:
        written: Expr = NEVER
        declared = any(name == known for one in branch.members for known, _ in one.named)
        if (declared or not branch.closed) and admits(self._ways, branch.names, name):
            value = self._value(member_places(branch, name))
            written = self._rules.add(seq(literal(name), self._colon(), value))
        return Member(written, required=name in branch.required)

    def _others(self, branch: Branch, known: frozenset[str], *, open_to_all: bool) -> list[Expr]:
        """What members without a name in the schema look like: a form for each pattern, one for the rest."""
        patterns = [(pattern, inner, scope) for scope in branch.members for pattern, inner in scope.patterns]
        asked = any(scope.others is not None for scope in branch.members) or (open_to_all and not patterns)
        forms = []
        for pattern, inner, scope in patterns:
            rest = [one.others for one in branch.members if one is not scope and one.others is not None]
            key = matcher(pattern, wide=False)
            for other, _, _ in patterns:
                if other.source != pattern.source:
                    key = key.without(matcher(other, wide=True))
            forms.append(self._pair(branch, key, known, (inner, *rest)))
        if asked:
            rest = [scope.others for scope in branch.members if scope.others is not None]
            remaining: Automaton | None = None
            for other, _, _ in patterns:
                remaining = keys_but(frozenset(), remaining).without(matcher(other, wide=True))
            forms.append(self._pair(branch, remaining, known, rest))
        return [form for form in forms if form != NEVER]

    def _pair(
        self, branch: Branch, key: Automaton | None, known: frozenset[str], places: Iterable[Place]
    ) -> Expr:
        if any(place.schema is False for place in places):
            return NEVER
        if key is None and not known and not branch.names:
            return self._rules.add(seq(self._text(), self._colon(), self._value(places)))
        key = keys_but(known, key)
        ways = []
        for named in self._ways.together(branch.names):
            if "string" in named.types:
                mine = key.both(automaton_of(named))
                if named.values is not None:
                    ways += [
                        literal(v.value)
                        for v in named.values
                        if isinstance(v.value, str) and mine.takes(v.value)
                    ]
                else:
                    ways.append(of_automaton(self._rules, mine, in_json=True))
        return self._rules.add(seq(alt(ways), self._colon(), self._value(places)))

    def _any(self) -> Expr:
        """Any value at all."""
        return self._rules.once("value", lambda: alt((
            self._rules.once("object", self._any_object), self._rules.once("array", self._any_array),
            self._text(), self._decimal(), self._boolean(), Text("null"),
        )))  # fmt: skip

    def _any_object(self) -> Expr:
        pair = seq(self._text(), self._colon(), Ref("value"))
        return members(
            self._rules, [], Others(self._rules.add(pair), 0, None), (self._comma(), self._blank())
        )

    def _any_array(self) -> Expr:
        return listed(self._rules, [], Ref("value"), (0, None), (self._comma(), self._blank()))

    def _boolean(self) -> Expr:
        return self._rules.once("boolean", lambda: alt((Text("true"), Text("false"))))

    def _integer(self) -> Expr:
        return self._rules.once("integer", any_integer)

    def _decimal(self) -> Expr:
        return self._rules.once("number", any_number)

    def _text(self) -> Expr:
        return self._rules.once("string", lambda: seq(QUOTE, repeat(any_character()), QUOTE))

    def _blank(self) -> Expr:
        return self._rules.once("sp", lambda: optional(Text(" ")))

    def _comma(self) -> Expr:
        blank = self._blank()
        return self._rules.once("comma", lambda: seq(blank, Text(","), blank))

    def _colon(self) -> Expr:
        blank = self._blank()
        return self._rules.once("colon", lambda: seq(blank, Text(":"), blank))
