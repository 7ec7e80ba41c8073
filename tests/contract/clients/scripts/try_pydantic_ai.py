"""pydantic-ai: agents with a tool, and with an output of a type."""

from __future__ import annotations

import asyncio
from typing import Literal

from conversation import converse
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.messages import ModelRequest, ModelResponse, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from weather import (
    COMPARE,
    HELLO,
    KEY,
    MAX_TOKENS,
    MODEL,
    PARALLEL,
    QUESTION,
    REPORT,
    REPORT_BY_TOOL,
    TOO_LONG,
    City,
    finished,
    weather,
)


class Report(BaseModel):
    city: City
    sky: Literal["clear", "cloudy"]


class Agents:
    def __init__(self, model) -> None:
        self._model = model

    def agent(self, url: str, name: str = MODEL, key: str = KEY, **options) -> Agent:
        model = self._model(name, provider=OpenAIProvider(base_url=f"{url}/v1", api_key=key))
        return Agent(model, model_settings={"temperature": 0, "max_tokens": MAX_TOKENS}, **options)

    def with_tool(self, url: str, calls: list[str]) -> Agent:
        """`calls` gets the cities that the tool is called with."""
        weatherman = self.agent(url)

        @weatherman.tool_plain
        def get_weather(city: City) -> str:
            calls.append(city)
            return weather(city)

        return weatherman

    def tools(self, url: str) -> dict:
        calls: list[str] = []
        done = self.with_tool(url, calls).run_sync(QUESTION)
        usage = done.usage
        return finished(calls, done.output, (usage.input_tokens, usage.output_tokens))

    def parallel(self, url: str) -> str:
        """Goes on with a run in which the tool was called twice in one turn."""
        calls = [ToolCallPart("get_weather", {"city": city}, call_id) for call_id, city in PARALLEL.items()]
        results = [
            ToolReturnPart("get_weather", weather(city), call_id) for call_id, city in PARALLEL.items()
        ]
        history = [
            ModelRequest([UserPromptPart(COMPARE)]), ModelResponse(calls), ModelRequest(results),
        ]  # fmt: skip
        return self.with_tool(url, []).run_sync(message_history=history).output

    def structured(self, url: str) -> dict:
        output = NativeOutput(Report, strict=True)
        return self.agent(url, output_type=output).run_sync(REPORT).output.model_dump()

    def structured_by_tool(self, url: str) -> dict:
        """As it does unasked: by a tool that it must call."""
        output = ToolOutput(Report, name="Report")
        return self.agent(url, output_type=output).run_sync(REPORT_BY_TOOL).output.model_dump()

    def stream(self, url: str) -> list[str]:
        async def collect() -> list[str]:
            async with self.agent(url).run_stream(HELLO) as answer:
                return [piece async for piece in answer.stream_text(delta=True, debounce_by=None)]

        return asyncio.run(collect())

    def wrong_key(self, url: str) -> str:
        return self.agent(url, key="another").run_sync(HELLO).output

    def wrong_model(self, url: str) -> str:
        return self.agent(url, "another").run_sync(HELLO).output

    def too_long(self, url: str) -> str:
        return self.agent(url).run_sync(TOO_LONG).output


converse({"chat": Agents(OpenAIChatModel), "responses": Agents(OpenAIResponsesModel)})
