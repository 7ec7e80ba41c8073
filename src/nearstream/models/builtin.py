"""The model that comes with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from nearstream.core.errors import Unusable

NAME = "builtin"


def builtin_path() -> Path:
    """The folder of the built-in model. Raises Unusable where the package came without it."""
    path = Path(str(files("nearstream.models") / "builtin"))
    if not (path / "openvino_model.xml").is_file():
        raise Unusable(f"the built-in model is not installed: {path} has no openvino_model.xml")
    return path
