"""The Jinja environment that chat templates run in: what Hugging Face offers them, within bounds."""

from __future__ import annotations

import json
from collections.abc import Callable

import jinja2
from jinja2 import ext, nodes, parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nearstream.core.errors import TemplateFailed

OUTPUT_LIMIT = 4_000_000
TURN_LIMIT = 100_000
"""Characters a template may build or write, and turns that its loops over `range` may take altogether."""

_SIZED_METHODS = frozenset({"ljust", "rjust", "center", "zfill", "expandtabs", "format", "format_map"})
_SIZED_FILTERS = ("center", "format", "batch", "slice", "wordwrap")


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """No attribute that leads out of the sandbox, no string that grows by arithmetic."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def call_binop(
        self, context: jinja2.runtime.Context, operator: str, left: object, right: object
    ) -> object:
        if operator == "%" and isinstance(left, str):
            raise TemplateFailed("a template may not format strings with %")
        if operator == "*":
            _hold_to_limit(_size_of_product(left, right))
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            _hold_to_limit(len(left) + len(right))
        if operator == "**":
            raise TemplateFailed("a template may not raise to a power")
        result: object = super().call_binop(context, operator, left, right)
        return result

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        if isinstance(obj, str) and attr in _SIZED_METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)


class GenerationTag(ext.Extension):
    """`{% generation %}` marks the assistant's words for training; at inference it is only its content."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own declaration

    def parse(self, parser: parser.Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def sandbox() -> jinja2.Environment:
    """A fresh environment for one template."""
    environment = BoundedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", GenerationTag]
    )
    environment.filters["tojson"] = _tojson
    environment.globals.pop("lipsum")
    for name in _SIZED_FILTERS:
        environment.filters.pop(name)
    return environment


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As Hugging Face's: readable characters stay, nothing is escaped for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def bounded_range() -> Callable[..., range]:
    """`range` for one rendering, with a budget for all its loops: nested ones multiply."""
    left = TURN_LIMIT

    def take(*bounds: int) -> range:
        nonlocal left
        turns = range(*bounds)
        left -= len(turns)
        if left < 0:
            raise TemplateFailed(f"a template may not loop more than {TURN_LIMIT} times")
        return turns

    return take


def _size_of_product(left: object, right: object) -> int:
    """Characters or items of a sequence that is repeated; 0 for plain numbers."""
    for value, times in ((left, right), (right, left)):
        if isinstance(value, str | list | tuple) and isinstance(times, int):
            return len(value) * times
    return 0


def _hold_to_limit(size: int) -> None:
    if size > OUTPUT_LIMIT:
        raise TemplateFailed(f"a template may not build more than {OUTPUT_LIMIT} characters")
