"""The kinds of values that settings of DJL Serving take, in the spellings that it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

Value = str | int | float | bool | Path | Mapping[str, str] | None
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{0,18})?")
_ON = frozenset({"true", "t", "yes", "y", "on", "1"})
_OFF = frozenset({"false", "f", "no", "n", "off", "0"})


@dataclass(frozen=True, slots=True)
class Kind:
    """`parse` takes a value without blanks around it and raises ValueError; `wanted` says what it takes."""

    wanted: str
    parse: Callable[[str], Value]


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""
    return Kind(f"a whole number from {low} to {high}", partial(_whole, low=low, high=high))


def seconds(low: float, high: float) -> Kind:
    """A number of seconds."""
    return Kind(f"a number of seconds from {low:g} to {high:g}", partial(_number, low=low, high=high))


def choice(values: Mapping[str, str]) -> Kind:
    """What is given, in capitals or not, to what it is called here."""
    named = {name.lower(): means for name, means in values.items()}
    return Kind(f"one of {', '.join(values)}", partial(_choice, named=named))


def _whole(value: str, *, low: int, high: int) -> int:
    if not _WHOLE.fullmatch(value) or not low <= int(value) <= high:
        raise ValueError
    return int(value)


def _number(value: str, *, low: float, high: float) -> float:
    if not _NUMBER.fullmatch(value) or not low <= float(value) <= high:
        raise ValueError
    return float(value)


def _choice(value: str, *, named: Mapping[str, str]) -> str:
    if value.lower() not in named:
        raise ValueError
    return named[value.lower()]


def _switch(value: str) -> bool:
    if value.lower() not in _ON | _OFF:
        raise ValueError
    return value.lower() in _ON


def _degree(value: str) -> str:
    return value if value == "max" else str(_whole(value, low=1, high=1024))


def _variables(value: str) -> Mapping[str, str]:
    """`A=b,C=d`, as PyModel splits it: what has no `=` is left out."""
    pairs = (pair.partition("=") for pair in value.split(","))
    return {name.strip(): said.strip() for name, equals, said in pairs if equals and name.strip()}


TEXT = Kind("a text", str)
SWITCH = Kind("true or false", _switch)
PATH = Kind("a path", Path)
DEGREE = Kind("a whole number from 1 to 1024, or max", _degree)
VARIABLES = Kind("variables as NAME=value,OTHER=value", _variables)
