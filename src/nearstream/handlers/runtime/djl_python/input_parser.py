"""The decorators for functions that read a request, load a model and predict in DJL's own handlers.

They mark a function, as DJL's do. What is marked is not called here: a model.py is run through its `handle`.
"""

from __future__ import annotations

from typing import Any, Callable, TypeVar

SAGEMAKER_ADAPTER_IDENTIFIER_HEADER = "X-Amzn-SageMaker-Adapter-Identifier"
_Function = TypeVar("_Function", bound=Callable[..., Any])


def input_formatter(function: _Function) -> _Function:
    """Marks the function that reads a request."""
    return _marked(function, "is_input_formatter")


def prediction_handler(function: _Function) -> _Function:
    """Marks the function that predicts."""
    return _marked(function, "is_prediction_handler")


def init_handler(function: _Function) -> _Function:
    """Marks the function that loads a model."""
    return _marked(function, "is_init_handler")


def _marked(function: _Function, mark: str) -> _Function:
    setattr(function, mark, True)
    return function
