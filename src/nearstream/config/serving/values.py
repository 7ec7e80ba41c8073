"""The kinds of values that settings of DJL Serving take, in the spellings that it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nearstream.core.rates import Rate

Value = str | int | float | bool | Path | Mapping[str, str] | Rate | None
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{0,18})?")
# As java.time.Duration reads it, but for signs: PT1M, P1DT12H, PT0.5S.
_DURATION = re.compile(
    r"P(?=.)(?:(?P<d>[0-9]{1,4})D)?(?:T(?=.)(?:(?P<h>[0-9]{1,5})H)?(?:(?P<m>[0-9]{1,6})M)?"
    r"(?:(?P<s>[0-9]{1,8}(?:\.[0-9]{0,9})?)S)?)?",
    re.IGNORECASE,
)
_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_MINUTE_S = 60.0
_MOST = 100_000
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


def _rate(value: str) -> Rate:
    """`10/PT5M`; without a duration it is of one minute."""
    most, given, duration = value.partition("/")
    return Rate(_whole(most, low=0, high=_MOST), _duration_s(duration) if given else _MINUTE_S)


def _duration_s(value: str) -> float:
    found = _DURATION.fullmatch(value)
    if found is None:
        raise ValueError
    length_s = sum(float(amount) * _SECONDS[unit] for unit, amount in found.groupdict(default="0").items())
    if not length_s:
        raise ValueError
    return length_s


def _variables(value: str) -> Mapping[str, str]:
    """`A=b,C=d`, as PyModel splits it: what has no `=` is left out."""
    pairs = (pair.partition("=") for pair in value.split(","))
    return {name.strip(): given.strip() for name, equals, given in pairs if equals and name.strip()}


TEXT = Kind("a text", str)
SWITCH = Kind("true or false", _switch)
PATH = Kind("a path", Path)
DEGREE = Kind("a whole number from 1 to 1024, or max", _degree)
RATE = Kind(f"a number of failed calls from 0 to {_MOST} and a duration, as 10/PT5M,", _rate)
VARIABLES = Kind("variables as NAME=value,OTHER=value", _variables)
