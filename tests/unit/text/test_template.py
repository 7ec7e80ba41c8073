"""Chat templates render as Hugging Face's do, and a hostile one is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.toy_tokenizers import TEMPLATE

from nearstream.core.errors import TemplateFailed, Unusable
from nearstream.core.generation import Message
from nearstream.text.template import ChatTemplate, load_template
from nearstream.text.tokenizer import SpecialTokens

SPECIAL = SpecialTokens(bos="<s>", eos="</s>")
HELLO = (Message("user", "Hello"),)


def render(source: str, messages: tuple[Message, ...] = HELLO, **options: Any) -> str:
    now = datetime(2026, 3, 4, tzinfo=UTC)
    return ChatTemplate(source, SPECIAL).render(messages, now=lambda: now, **options)


def test_a_conversation_ends_with_the_generation_prompt():
    messages = (Message("system", "Be kind."), *HELLO)
    expected = "<s><|system|>\nBe kind.<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\n"
    assert render(TEMPLATE, messages) == expected


def test_a_last_assistant_message_is_left_open():
    messages = (*HELLO, Message("assistant", "Hello, I am"))
    assert render(TEMPLATE, messages) == "<s><|user|>\nHello<|end|>\n<|assistant|>\nHello, I am"


def test_an_empty_last_assistant_message_is_a_generation_prompt():
    messages = (*HELLO, Message("assistant", ""))
    assert render(TEMPLATE, messages) == render(TEMPLATE)


def test_what_hugging_face_offers_is_there():
    source = (
        "{% for m in messages %}{% generation %}{{ m.content | tojson }}{% endgeneration %}{% break %}"
        "{% endfor %} {{ strftime_now('%d %b %Y') }} {{ tools | tojson(indent=1) }} {{ eos_token }}"
    )
    rendered = render(source, (Message("user", "<é>"), *HELLO), tools=[{"a": 1}])
    assert rendered == '"<é>" 04 Mar 2026 [\n {\n  "a": 1\n }\n] </s>'


def test_raise_exception_carries_the_templates_words():
    with pytest.raises(TemplateFailed, match="roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 10**9 }}",
        "{{ 'x' * 999999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ 'x'.ljust(999999999) }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ 9 ** 9 ** 9 }}",
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% for i in range(50000) %}{{ 'x' * 1000 }}{% endfor %}",
        "{{ undefined_thing.attribute }}",
    ],
)
def test_a_hostile_or_broken_template_is_refused(source: str):
    with pytest.raises(TemplateFailed):
        render(source)


def test_the_template_is_found_where_models_keep_it(tmp_path: Path):
    assert load_template(tmp_path, SPECIAL) is None
    config = tmp_path / "tokenizer_config.json"
    now = datetime(2026, 3, 4, tzinfo=UTC)
    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "default"}]
    for written, rendered in (("plain", "plain"), (named, "default")):
        config.write_text(json.dumps({"chat_template": written}))
        template = load_template(tmp_path, SPECIAL)
        assert template is not None
        assert template.render(HELLO, now=lambda: now) == rendered
    (tmp_path / "chat_template.jinja").write_text("file")
    template = load_template(tmp_path, SPECIAL)
    assert template is not None
    assert template.render(HELLO, now=lambda: now) == "file"


def test_a_template_with_a_syntax_error_makes_the_model_unusable():
    with pytest.raises(Unusable, match="chat template"):
        ChatTemplate("{% for %}", SPECIAL)
