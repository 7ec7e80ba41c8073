"""A model's templates are found where Hugging Face's tokenizers look for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nearstream.core.errors import Unusable
from nearstream.text.template_sources import TemplateSources, template_sources


def test_templates_are_found_where_models_keep_them(tmp_path: Path):
    assert template_sources(tmp_path) is None
    config = tmp_path / "tokenizer_config.json"
    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "default"}]
    for written, found in (
        ("plain", TemplateSources("plain")),
        (named, TemplateSources("default", "tools")),
        (named[:1], None),
        (7, None),
    ):
        config.write_text(json.dumps({"chat_template": written}))
        assert template_sources(tmp_path) == found
    config.write_text(json.dumps({"chat_template": "plain"}))
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "processor's"}))
    assert template_sources(tmp_path) == TemplateSources("processor's")
    (tmp_path / "chat_template.jinja").write_text("file")
    assert template_sources(tmp_path) == TemplateSources("file")
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tool_use.jinja").write_text("tools")
    assert template_sources(tmp_path) == TemplateSources("file", "tools")


def test_a_file_that_is_no_text_makes_the_model_unusable(tmp_path: Path):
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(Unusable, match="cannot read"):
        template_sources(tmp_path)
