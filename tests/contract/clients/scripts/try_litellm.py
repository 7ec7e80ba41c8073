"""litellm: the server as `openai/<model>`, with a loop of one's own around the tool."""

from __future__ import annotations

import json
import os
from typing import Literal

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch that list at its import

import litellm
from conversation import converse
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
    TOOL,
    City,
    finished,
    weather,
)

litellm.suppress_debug_info = True


class Report(BaseModel):
    city: City
    sky: Literal["clear", "cloudy"]


def ask(url: str, messages: str | list, **options):
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    named = {"model": f"openai/{MODEL}", "api_key": KEY, "max_tokens": MAX_TOKENS} | options
    return litellm.completion(messages=turns, api_base=f"{url}/v1", max_retries=0, temperature=0, **named)


class Chat:
    def tools(self, url: str) -> dict:
        calls, turns = [], [{"role": "user", "content": QUESTION}]
        tokens_in = tokens_out = 0
        for _ in range(5):
            answer = ask(url, turns, tools=[TOOL])
            tokens_in += answer.usage.prompt_tokens
            tokens_out += answer.usage.completion_tokens
            message = answer.choices[0].message
            if not message.tool_calls:
                return finished(calls, message.content, (tokens_in, tokens_out))
            turns.append(message)
            for call in message.tool_calls:
                city = json.loads(call.function.arguments)["city"]
                calls.append(city)
                turns.append({"role": "tool", "tool_call_id": call.id, "content": weather(city)})
        return finished(calls, None, None)

    def parallel(self, url: str) -> str:
        calls = [
            {
                "id": call_id,
                "type": "function",
                "function": {"name": "get_weather", "arguments": json.dumps({"city": city})},
            }
            for call_id, city in PARALLEL.items()
        ]
        results = [
            {"role": "tool", "tool_call_id": call_id, "content": weather(city)}
            for call_id, city in PARALLEL.items()
        ]
        turns = [
            {"role": "user", "content": COMPARE},
            {"role": "assistant", "content": None, "tool_calls": calls},
            *results,
        ]
        return ask(url, turns, tools=[TOOL]).choices[0].message.content

    def structured(self, url: str) -> dict:
        answer = ask(url, REPORT, response_format=Report)
        return Report.model_validate_json(answer.choices[0].message.content).model_dump()

    def stream(self, url: str) -> list[str]:
        pieces = ask(url, HELLO, stream=True)
        return [text for piece in pieces if (text := piece.choices[0].delta.content)]

    def wrong_key(self, url: str) -> str:
        return ask(url, HELLO, api_key="another").choices[0].message.content

    def wrong_model(self, url: str) -> str:
        return ask(url, HELLO, model="openai/another").choices[0].message.content

    def too_long(self, url: str) -> str:
        return ask(url, TOO_LONG).choices[0].message.content


converse({"chat": Chat()})
