"""A chat template renders in a process of its own, which is ended when a conversation makes it overstep."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from nearstream.core.errors import TemplateFailed, Unusable
from nearstream.core.generation import ChatPrompt, Message, Tool
from nearstream.replica.templates.renderer import TemplateRenderer, template_renderer
from nearstream.text.template_sources import TemplateSources, template_sources
from nearstream.text.tokenizer import SpecialTokens
from nearstream.workers.bounded import WorkLimits

NOW = datetime(2026, 3, 4, tzinfo=UTC)
LIMITS = WorkLimits(time_s=1.0, memory_bytes=1 << 29)
BUILTIN = Path(__file__).parents[3] / "src/nearstream/models/builtin"
# What each of these does depends on what a client says.
GROWING = TemplateSources(
    "{% for m in messages %}"
    "{% if m.content == 'loop' %}{% for i in range(99999) %}{% for j in range(99999) %}"
    "{% endfor %}{% endfor %}"
    "{% elif m.content == 'double' %}{% set ns = namespace(x='x') %}"
    "{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}"
    "{% elif m.content == 'power' %}{{ (m.content | length) ** (9 ** 9) }}"
    "{% elif m.content == 'pad' %}{{ m.role.ljust(99999999999) }}"
    "{% elif m.content == 'format' %}{{ '%99999999999d' % 1 }}"
    "{% elif m.content == 'indent' %}{{ messages | tojson(indent=999999999999) }}"
    "{% elif m.content == 'recurse' %}"
    "{% macro again(n) %}{{ again(n) }}{{ again(n) }}{% endmacro %}{{ again(1) }}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
)


async def rendered(renderer: TemplateRenderer, content: str, *tools: Tool) -> str:
    return await renderer.render(ChatPrompt((Message("user", content),), tools), now=NOW)


@pytest.mark.parametrize("growing", ["loop", "double", "power", "pad", "format", "indent", "recurse"])
async def test_a_conversation_that_oversteps_is_refused_and_the_next_is_rendered(growing: str):
    async with template_renderer(GROWING, SpecialTokens(), limits=LIMITS) as renderer:
        assert renderer is not None
        assert await rendered(renderer, "hello") == "hello"
        with pytest.raises(TemplateFailed):
            await rendered(renderer, growing)
        assert await rendered(renderer, "hello again") == "hello again"


async def test_nothing_else_waits_while_a_template_runs_without_end():
    async with template_renderer(GROWING, SpecialTokens(), limits=LIMITS) as renderer:
        assert renderer is not None
        running = asyncio.create_task(rendered(renderer, "loop"))
        gaps, last = [], time.perf_counter()
        while not running.done():
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - last)
            last = time.perf_counter()
        with pytest.raises(TemplateFailed, match="longer than 1 s"):
            await running
        assert sorted(gaps)[len(gaps) // 2] < 0.05


async def test_a_caller_that_leaves_costs_the_next_one_nothing():
    async with template_renderer(GROWING, SpecialTokens(), limits=LIMITS) as renderer:
        assert renderer is not None
        leaving = asyncio.create_task(rendered(renderer, "loop"))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await rendered(renderer, "hello") == "hello"


async def test_the_template_for_tools_serves_conversations_with_tools():
    sources = TemplateSources("plain", "with {{ tools | length }} tools")
    async with template_renderer(sources, SpecialTokens()) as renderer:
        assert renderer is not None
        assert await rendered(renderer, "hello") == "plain"
        assert await rendered(renderer, "hello", Tool("f", None, "{}")) == "with 1 tools"


@pytest.mark.parametrize(
    ("source", "reason"), [("{% for %}", "chat template is broken"), ("{{ 9 ** (9 ** 9) }}", "within 2 s")]
)
async def test_a_template_that_cannot_be_compiled_makes_the_model_unusable(source: str, reason: str):
    limits = WorkLimits(time_s=1.0, memory_bytes=1 << 29, start_s=2.0)
    with pytest.raises(Unusable, match=reason):
        async with template_renderer(TemplateSources(source), SpecialTokens(), limits=limits):
            pass


async def test_the_process_ends_with_its_server():
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    async with template_renderer(template_sources(BUILTIN), SpecialTokens()) as renderer:
        assert renderer is not None
        started = {child.pid for child in psutil.Process().children(recursive=True)} - before
        assert started
    assert not any(psutil.pid_exists(pid) for pid in started)
