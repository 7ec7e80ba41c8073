"""Where a model keeps its chat templates, as Hugging Face's tokenizers look for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nearstream.core.errors import Unusable
from nearstream.formats.json_file import read_json_object

TOOL_USE = "tool_use"


@dataclass(frozen=True, slots=True)
class TemplateSources:
    """A model's template, and the one for conversations with tools where it has one of its own."""

    default: str
    tool_use: str | None = None


def template_sources(directory: Path) -> TemplateSources | None:
    """None for a model without a template. Raises Unusable for a file that cannot be read.

    `chat_template.jinja` (with `additional_chat_templates/tool_use.jinja`) goes before `chat_template.json`,
    and that before `tokenizer_config.json`.
    """
    file = directory / "chat_template.jinja"
    if file.is_file():
        tool_use = directory / "additional_chat_templates" / f"{TOOL_USE}.jinja"
        return TemplateSources(_read(file), _read(tool_use) if tool_use.is_file() else None)
    for name in ("chat_template.json", "tokenizer_config.json"):
        found = _named(read_json_object(directory / name).get("chat_template"))
        if found is not None:
            return found
    return None


def _named(found: object) -> TemplateSources | None:
    """One template, or a list of named ones."""
    if isinstance(found, str):
        return TemplateSources(found)
    if not isinstance(found, list):
        return None
    named = {item.get("name"): item.get("template") for item in found if isinstance(item, dict)}
    default, tool_use = named.get("default"), named.get(TOOL_USE)
    if not isinstance(default, str):
        return None
    return TemplateSources(default, tool_use if isinstance(tool_use, str) else None)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"cannot read {file}: {error}") from error
