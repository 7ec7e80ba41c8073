"""Chat templates render as Hugging Face's do; what a template has no place for is said in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.support.toy_tokenizers import TEMPLATE

from nearstream.core.errors import TemplateFailed, Unusable
from nearstream.core.generation import ChatPrompt, Message, Tool, ToolCall
from nearstream.text.template import ChatTemplate

HELLO = (Message("user", "Hello"),)
WEATHER = Tool("weather", "Weather of a city", '{"type": "object"}')
CALL = ToolCall("weather", '{"city": "Paris"}', "call00001")
TIME = ToolCall("time", '{"zone": "CET"}', "call00002")
HISTORY = (
    Message("user", "Weather?"),
    Message("assistant", None, tool_calls=(CALL, TIME)),
    Message("tool", "21 degrees", tool_call_id="call00001"),
    Message("tool", "noon", tool_call_id="call00002"),
)
# As Llama 3.1, Qwen 2.5 and Hermes write them: each result with its turn, arguments through tojson.
TOOL_TEMPLATE = (
    "{%- if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>{% endif -%}"
    "{%- for m in messages %}"
    "{%- if m.tool_calls %}{% for call in m.tool_calls -%}"
    "<call>{{ call.function.name }}{{ call.function.arguments | tojson }}</call>"
    "{%- endfor %}"
    "{%- elif m.role in ['tool', 'ipython'] -%}<result {{ m.tool_call_id }}>{{ m.content }}</result>"
    "{%- else %}<{{ m.role }}>{{ m.content }}{% endif -%}"
    "{%- endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
# Knows three roles and no tools, as Gemma's and the built-in model's did.
STRICT_TEMPLATE = (
    "{% for m in messages %}{% if m.role not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('unknown role ' ~ m.role) }}{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def render(
    source: str, messages: tuple[Message, ...] = HELLO, tools: tuple[Tool, ...] = (), prompt: str = ""
) -> str:
    template = ChatTemplate(source, bos="<s>", eos="</s>")
    return template.render(ChatPrompt(messages, tools, prompt), now=datetime(2026, 3, 4, tzinfo=UTC))


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
        "{% endfor %} {{ strftime_now('%d %b %Y') }} {{ [1] | tojson(indent=1) }} {{ eos_token }}"
    )
    assert render(source, (Message("user", "<é>"), *HELLO)) == '"<é>" 04 Mar 2026 [\n 1\n] </s>'


def test_raise_exception_carries_the_templates_words():
    with pytest.raises(TemplateFailed, match="roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% for i in range(99999999) %}{% endfor %}",
        "{% for i in range(50000) %}{{ 'x' * 1000 }}{% endfor %}",
        "{{ undefined_thing.attribute }}",
    ],
)
def test_a_hostile_or_broken_template_is_refused(source: str):
    with pytest.raises(TemplateFailed):
        render(source)


def test_a_template_with_a_syntax_error_makes_the_model_unusable():
    with pytest.raises(Unusable, match="chat template"):
        ChatTemplate("{% for %}")


def test_calls_and_results_reach_the_template_as_objects_with_their_ids():
    assert render(TOOL_TEMPLATE, HISTORY, (WEATHER,)) == (
        '<tools>{"type": "function", "function": {"name": "weather", "description": "Weather of a city", '
        '"parameters": {"type": "object"}}}</tools><user>Weather?'
        '<call>weather{"city": "Paris"}</call><call>time{"zone": "CET"}</call>'
        "<result call00001>21 degrees</result><result call00002>noon</result><assistant>"
    )


def test_any_role_reaches_a_template():
    assert render(TOOL_TEMPLATE, (Message("critic", "Hm."),)) == "<critic>Hm.<assistant>"
    assert render(TOOL_TEMPLATE, (Message("ipython", "21"),)) == "<result >21</result><assistant>"


def test_a_developer_is_the_system_unless_the_template_names_developers():
    asked = (Message("developer", "Be brief."),)
    assert render(TOOL_TEMPLATE, asked) == "<system>Be brief.<assistant>"
    naming = "{% for m in messages %}{{ 'D:' if m.role == 'developer' }}{{ m.content }}{% endfor %}"
    assert render(naming, asked) == "D:Be brief."


def test_a_template_that_joins_arguments_to_text_gets_them_as_json_text():
    joining = (
        "{% for m in messages %}{% for call in m.tool_calls or [] %}{{ '[' + call.function.name + "
        "call.function.arguments + ']' }}{% endfor %}{{ m.content if m.content is not none }}{% endfor %}"
    )
    assert render(joining, HISTORY[:2]) == 'Weather?[weather{"city": "Paris"}][time{"zone": "CET"}]'


def test_a_template_that_joins_content_to_text_gets_an_empty_one_beside_calls():
    joining = (
        "{% for m in messages %}{{ m.content + ';' }}{% for call in m.tool_calls or [] %}"
        "{{ call.function.arguments | tojson }}{% endfor %}{% endfor %}"
    )
    assert render(joining, HISTORY[:2]) == 'Weather?;;{"city": "Paris"}{"zone": "CET"}'


def test_arguments_that_are_no_object_stay_text():
    broken = Message("assistant", None, tool_calls=(ToolCall("weather", '{"city": ', "call00001"),))
    assert '<call>weather"{\\"city\\": "</call>' in render(TOOL_TEMPLATE, (*HELLO, broken, HISTORY[2]))


def test_a_template_without_tools_gets_all_of_them_in_words():
    assert render(STRICT_TEMPLATE, HISTORY, (WEATHER,), "Call one.") == (
        "<user>Weather?"
        '<assistant>[{"name": "weather", "arguments": {"city": "Paris"}}, '
        '{"name": "time", "arguments": {"zone": "CET"}}]'
        "<user>Result of weather (call00001): 21 degrees\nResult of time (call00002): noon"
        '\n\n---\n[{"type": "function", "function": {"name": "weather", "description": "Weather of a city", '
        '"parameters": {"type": "object"}}}]\nCall one.<assistant>'
    )


def test_results_in_words_join_the_users_next_turn():
    text = render(STRICT_TEMPLATE, (*HISTORY[:3], Message("user", "And now?")))
    assert text.endswith("<user>Result of weather (call00001): 21 degrees\nAnd now?<assistant>")
