"""langchain: its agent with a tool, and answers of a type, by ChatOpenAI."""

from __future__ import annotations

from typing import Literal

from conversation import converse
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
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
    REPORT_BY_TOOL,
    TOO_LONG,
    City,
    finished,
    weather,
)


class Report(BaseModel):
    """A report about a city."""

    city: City
    sky: Literal["clear", "cloudy"]


@tool
def get_weather(city: City) -> str:
    """The weather of a city."""
    return weather(city)


def model(url: str, name: str = MODEL, key: str = KEY) -> ChatOpenAI:
    options = {"max_retries": 0, "temperature": 0, "max_tokens": MAX_TOKENS}
    return ChatOpenAI(model=name, base_url=f"{url}/v1", api_key=key, **options)


class Chat:
    def tools(self, url: str) -> dict:
        agent = create_agent(model(url), [get_weather])
        turns = agent.invoke({"messages": [HumanMessage(QUESTION)]}, {"recursion_limit": 10})["messages"]
        said = [turn for turn in turns if isinstance(turn, AIMessage)]
        calls = [call["args"]["city"] for turn in said for call in turn.tool_calls]
        usages = [turn.usage_metadata for turn in said]
        tokens = (sum(each["input_tokens"] for each in usages), sum(each["output_tokens"] for each in usages))
        return finished(calls, said[-1].content, tokens)

    def parallel(self, url: str) -> str:
        calls = [
            {"name": "get_weather", "args": {"city": city}, "id": call_id}
            for call_id, city in PARALLEL.items()
        ]
        results = [ToolMessage(weather(city), tool_call_id=call_id) for call_id, city in PARALLEL.items()]
        turns = [HumanMessage(COMPARE), AIMessage("", tool_calls=calls), *results]
        return model(url).bind_tools([get_weather]).invoke(turns).content

    def structured(self, url: str) -> dict:
        asking = model(url).with_structured_output(Report, method="json_schema", strict=True)
        return asking.invoke(REPORT).model_dump()

    def structured_by_tool(self, url: str) -> dict:
        asking = model(url).with_structured_output(Report, method="function_calling")
        return asking.invoke(REPORT_BY_TOOL).model_dump()

    def stream(self, url: str) -> list[str]:
        return [text for piece in model(url).stream(HELLO) if (text := piece.content)]

    def wrong_key(self, url: str) -> str:
        return model(url, key="another").invoke(HELLO).content

    def wrong_model(self, url: str) -> str:
        return model(url, "another").invoke(HELLO).content

    def too_long(self, url: str) -> str:
        return model(url).invoke(TOO_LONG).content


converse({"chat": Chat()})
