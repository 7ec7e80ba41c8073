"""What every agent of these tests is asked, and the tool that it has."""

from __future__ import annotations

from typing import Literal

MODEL = "builtin"
KEY = "a-key-for-tests"
HELLO = "Say hello."
QUESTION = "What is the weather in Paris?"
COMPARE = "Compare the weather in Paris and in Oslo."
VISIT = "Which city is worth a visit?"
REPORT = "Write a report about Paris."
REPORT_BY_TOOL = "Hand in a report about Paris."
MAX_TOKENS = 200
TOO_LONG = "hello " * 5000
City = Literal["Paris", "Oslo"]
DEGREES = {"Paris": 21, "Oslo": 4}
PARALLEL = {"call_paris": "Paris", "call_oslo": "Oslo"}
"""Two calls in one turn: their ids and cities."""
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": list(DEGREES)}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


def weather(city: str) -> str:
    return f"{DEGREES[city]} degrees in {city}"


def finished(calls: list[str], answer: str | None, tokens: tuple[int, int] | None) -> dict[str, object]:
    """How a loop ended: the cities that the tool was called with, the last words, tokens in and out."""
    return {"calls": calls, "answer": answer, "tokens": tokens}
