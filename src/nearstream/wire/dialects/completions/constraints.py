"""The constraint on the text, in all forms that clients send it, as TGI writes it: `{type, value}`."""

from __future__ import annotations

import re
from typing import Any

from nearstream.core.errors import Invalid, OptionInvalid, Unsupported
from nearstream.wire.dialects.completions.bodies import Common

_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")
_STRUCTURED = {"json": "guided_json", "regex": "guided_regex", "choice": "guided_choice"}


def constraint(body: Common) -> tuple[str, dict[str, Any]] | None:
    """The field that names it, and the constraint. Raises Invalid, also for two of them."""
    found = {
        "response_format": grammar_document(body.response_format),
        "guided_json": _schema(body.guided_json),
        "guided_regex": _regex(body.guided_regex),
        "guided_choice": _choice(body.guided_choice),
        "structured_outputs": _structured(body.structured_outputs),
    }
    named = [(name, document) for name, document in found.items() if document is not None]
    if len(named) > 1:
        raise OptionInvalid(named[1][0], f"`{named[0][0]}` and `{named[1][0]}` exclude each other: send one")
    return named[0] if named else None


def grammar_document(response_format: dict[str, Any] | None) -> dict[str, Any] | None:
    """OpenAI's forms of `response_format` put in TGI's words. Raises Invalid."""
    if response_format is None or response_format.get("type") == "text":
        return None
    kind = response_format.get("type")
    if kind == "json_schema" and "value" not in response_format:
        named = response_format.get("json_schema")
        if not isinstance(named, dict) or "schema" not in named:
            missing = "`json_schema.schema`" if isinstance(named, dict) else "`json_schema`"
            raise Invalid(
                f"response_format: {missing} is missing; send "
                '{"type": "json_schema", "json_schema": {"name": ..., "schema": {...}}}'
            )
        return {"type": "json_schema", "value": named}
    if kind == "json_object" and "value" not in response_format:
        return {"type": "json_object", "value": response_format.get("schema", {"type": "object"})}
    return response_format


def _schema(schema: str | dict[str, Any] | None) -> dict[str, Any] | None:
    return {"type": "json", "value": schema} if schema else None


def _regex(pattern: str | None) -> dict[str, Any] | None:
    return {"type": "regex", "value": pattern} if pattern else None


def _choice(choices: list[str] | None) -> dict[str, Any] | None:
    if not choices:
        return None
    return {"type": "regex", "value": "|".join([_SPECIAL.sub(r"\\\g<0>", choice) for choice in choices])}


def _structured(outputs: dict[str, Any] | None) -> dict[str, Any] | None:
    """vLLM's newer form, one of `json`, `regex`, `choice`."""
    told = {name: value for name, value in (outputs or {}).items() if value not in (None, False)}
    if not told:
        return None
    (name, value), *more = told.items()
    if more or name not in _STRUCTURED:
        raise Unsupported("structured_outputs", "nearstream", "send one of `json`, `regex`, `choice`")
    if name == "json" and isinstance(value, str | dict):
        return _schema(value)
    if name == "regex" and isinstance(value, str):
        return _regex(value)
    if name == "choice" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return _choice(value)
    raise OptionInvalid("structured_outputs", f"`structured_outputs.{name}` has another type")
