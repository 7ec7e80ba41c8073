"""Which modules of a model an adapter may change, and how large each is, as OpenVINO's export tells it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from nearstream.models.directory import IR_MODEL

Modules = Mapping[str, tuple[int, int]]
"""Outputs and inputs of each linear module, by the name that the checkpoint gives it."""

_MATMUL = re.compile(
    r'<layer id="\d+" name="__module\.(?P<module>[^"/]+)/[^"]*" type="MatMul"[^>]*>\s*'
    r'<data (?P<data>[^>]*)/>\s*<input>.*?<port id="1"[^>]*>(?P<dims>.*?)</port>',
    re.DOTALL,
)
_DIM = re.compile(r"<dim>(-?\d+)</dim>")
_MATRIX = 2


def adaptable_modules(folder: Path) -> Modules:
    """The linear modules of the model in `folder`; none where it holds no OpenVINO model (a GGUF file)."""
    description = folder / IR_MODEL
    return dict(_modules(description.read_text())) if description.is_file() else {}


def _modules(description: str) -> Iterator[tuple[str, tuple[int, int]]]:
    for found in _MATMUL.finditer(description):
        shape = [int(dim) for dim in _DIM.findall(found["dims"])]
        if len(shape) != _MATRIX or min(shape) < 1:
            continue
        transposed = 'transpose_b="true"' in found["data"]
        outputs, inputs = shape if transposed else reversed(shape)
        yield found["module"], (outputs, inputs)
