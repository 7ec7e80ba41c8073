"""instructor: answers of a type, by a tool or by a JSON schema, asked for again until they are valid."""

from __future__ import annotations

from typing import Literal

import instructor
import openai
from conversation import converse
from pydantic import BaseModel, field_validator
from weather import HELLO, KEY, MODEL, REPORT, REPORT_BY_TOOL, TOO_LONG, VISIT, City, finished


class Report(BaseModel):
    city: City
    sky: Literal["clear", "cloudy"]


class Visit(BaseModel):
    city: City

    @field_validator("city")
    @classmethod
    def paris_alone(cls, city: str) -> str:
        CITIES.append(city)
        if city != "Paris":
            raise ValueError("too cold")
        return city


CITIES: list[str] = []
"""What was answered, valid or not."""


def client(url: str, mode: instructor.Mode = instructor.Mode.TOOLS, key: str = KEY) -> instructor.Instructor:
    return instructor.from_openai(openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0), mode=mode)


def ask(text: str) -> dict:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "temperature": 0}


def report(asking: instructor.Instructor, text: str, **options: str) -> dict:
    asked = ask(text) | options
    return asking.chat.completions.create(response_model=Report, max_retries=0, **asked).model_dump()


class Chat:
    def tools(self, url: str) -> dict:
        """Its loop: what is invalid goes back to the model as the result of its call."""
        CITIES.clear()
        visit, answer = client(url).chat.completions.create_with_completion(
            response_model=Visit, max_retries=3, **ask(VISIT)
        )
        usage = answer.usage
        return finished(list(CITIES), visit.city, (usage.prompt_tokens, usage.completion_tokens))

    def structured(self, url: str) -> dict:
        """By a JSON schema."""
        return report(client(url, instructor.Mode.JSON_SCHEMA), REPORT)

    def structured_by_tool(self, url: str) -> dict:
        return report(client(url), REPORT_BY_TOOL)

    def stream(self, url: str) -> list[str]:
        """Without a type it is openai's client."""
        pieces = client(url).chat.completions.create(response_model=None, stream=True, **ask(HELLO))
        return [text for piece in pieces if (text := piece.choices[0].delta.content)]

    def wrong_key(self, url: str) -> dict:
        return report(client(url, key="another"), REPORT_BY_TOOL)

    def wrong_model(self, url: str) -> dict:
        return report(client(url), REPORT_BY_TOOL, model="another")

    def too_long(self, url: str) -> dict:
        return report(client(url), TOO_LONG)


converse({"chat": Chat()})
