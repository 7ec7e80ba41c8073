"""openai-agents: agents with a tool, and with an output of a type."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

import openai
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from conversation import converse
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel
from weather import (
    COMPARE,
    HELLO,
    KEY,
    MAX_TOKENS,
    MODEL,
    PARALLEL,
    QUESTION,
    REPORT,
    TOO_LONG,
    City,
    finished,
    weather,
)

set_tracing_disabled(True)


class Report(BaseModel):
    city: City
    sky: Literal["clear", "cloudy"]


class Agents:
    def __init__(self, model) -> None:
        self._model = model

    def agent(self, url: str, name: str = MODEL, key: str = KEY, **options) -> Agent:
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        model = self._model(name, client)
        settings = ModelSettings(temperature=0, max_tokens=MAX_TOKENS)
        return Agent(name="Weather", model=model, model_settings=settings, **options)

    def with_tool(self, url: str, calls: list[str]) -> Agent:
        """`calls` gets the cities that the tool is called with."""

        @function_tool
        def get_weather(city: City) -> str:
            calls.append(city)
            return weather(city)

        return self.agent(url, tools=[get_weather])

    def tools(self, url: str) -> dict:
        calls: list[str] = []
        done = Runner.run_sync(self.with_tool(url, calls), QUESTION)
        usage = done.context_wrapper.usage
        return finished(calls, done.final_output, (usage.input_tokens, usage.output_tokens))

    def parallel(self, url: str) -> str:
        """Goes on with the items of a run in which the tool was called twice in one turn."""
        calls = [
            {
                "type": "function_call",
                "call_id": call_id,
                "name": "get_weather",
                "arguments": json.dumps({"city": city}),
            }
            for call_id, city in PARALLEL.items()
        ]
        results = [
            {"type": "function_call_output", "call_id": call_id, "output": weather(city)}
            for call_id, city in PARALLEL.items()
        ]
        items = [{"role": "user", "content": COMPARE}, *calls, *results]
        return Runner.run_sync(self.with_tool(url, []), items).final_output

    def structured(self, url: str) -> dict:
        return Runner.run_sync(self.agent(url, output_type=Report), REPORT).final_output.model_dump()

    def stream(self, url: str) -> list[str]:
        async def collect() -> list[str]:
            events = Runner.run_streamed(self.agent(url), HELLO).stream_events()
            return [
                event.data.delta
                async for event in events
                if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent)
            ]

        return asyncio.run(collect())

    def wrong_key(self, url: str) -> str:
        return Runner.run_sync(self.agent(url, key="another"), HELLO).final_output

    def wrong_model(self, url: str) -> str:
        return Runner.run_sync(self.agent(url, "another"), HELLO).final_output

    def too_long(self, url: str) -> str:
        return Runner.run_sync(self.agent(url), TOO_LONG).final_output


converse({"chat": Agents(OpenAIChatCompletionsModel), "responses": Agents(OpenAIResponsesModel)})
