"""Packages that a model may or may not have installed, imported where they are needed."""

from __future__ import annotations

import importlib
from typing import Any


def numpy() -> Any:
    """The module numpy. Raises ImportError that says how to get it."""
    return _found("numpy", "numpy")


def image() -> Any:
    """Pillow's module PIL.Image. Raises ImportError that says how to get it."""
    return _found("PIL.Image", "pillow")


def _found(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.split(".", maxsplit=1)[0]
        raise ImportError(
            f"this needs {top}, which this model's environment does not have: "
            f"add a line `{package}` to requirements.txt beside model.py",
            name=top,
        ) from error
