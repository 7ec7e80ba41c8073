"""OpenAI's API around scripted answers: a call of the tool first, words once its result is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.contract.clients.scripts import weather
from tests.support.toy_tokenizers import write_model

from nearstream.replica.openai.server import serve
from nearstream.replica.settings import ServerSettings
from nearstream.testing.answers import Script, ScriptedAnswer
from nearstream.testing.engine import AnswerEngine
from nearstream.text.tokenizer import load_tokenizer
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits

GREETING = "Hello, world! 😀"
ANSWER = "It is 21 degrees in Paris."
COMPARISON = "Paris is warmer than Oslo."
REPORT = {"city": "Paris", "sky": "clear"}
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|> {{ message.content or '' }}"
    "{% for call in message.tool_calls or [] %} {{ call.id }}={{ call.function | tojson }}{% endfor %}"
    "{{ ' of ' ~ message.tool_call_id if message.tool_call_id else '' }}\n{% endfor %}"
    "{% for tool in tools or [] %}{{ tool.function.name }} {% endfor %}<|assistant|>\n"
)
"""Shows which call a result belongs to."""
TERMS = Terms(limits=Limits(max_input_tokens=4096, max_total_tokens=8192))


@dataclass(frozen=True, slots=True)
class ScriptedServer:
    url: str
    script: Script


def script() -> Script:
    """The last row whose text is in the prompt counts."""
    result = weather.weather("Paris")
    answers = Script()
    for text, answer in (
        (weather.HELLO, GREETING),
        (weather.QUESTION, call("get_weather", city="Paris")),
        (result, ANSWER),
        (weather.COMPARE, COMPARISON),
        (weather.VISIT, call("Visit", city="Oslo")),
        ("too cold", call("Visit", city="Paris")),
        (weather.REPORT, json.dumps(REPORT)),
        (weather.REPORT_BY_TOOL, call("Report", **REPORT)),
    ):
        answers.add(ScriptedAnswer(answer), text)
    return answers


def call(name: str, **arguments: str) -> str:
    """A call as the model writes it."""
    return json.dumps({"name": name, "arguments": arguments})


@asynccontextmanager
async def serving_script(directory: Path) -> AsyncIterator[ScriptedServer]:
    """It wants `weather.KEY` and serves `weather.MODEL`."""
    answers, addresses = script(), list[str]()
    model = write_model(directory, template=TEMPLATE)
    told = ServerSettings(weather.MODEL, model, TERMS, port=0, grace_s=5.0, api_key=weather.KEY)

    @asynccontextmanager
    async def engine() -> AsyncIterator[AnswerEngine]:
        yield AnswerEngine(answers, load_tokenizer(model))

    def listening(found: Sequence[str]) -> None:
        addresses.extend(found)

    stop, ready = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(told, engine, stop=stop, on_listening=listening, on_ready=ready.set))
        await ready.wait()
        try:
            yield ScriptedServer(addresses[0], answers)
        finally:
            stop.set()
