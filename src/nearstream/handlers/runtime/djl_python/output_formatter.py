"""The decorator for a function that writes an answer in DJL's own handlers; see `input_parser`."""

from __future__ import annotations

from typing import Any, Callable, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


def output_formatter(function: _Function) -> _Function:
    """Marks the function that writes an answer."""
    setattr(function, "is_output_formatter", True)  # noqa: B010 - a function has no such attribute
    return function
