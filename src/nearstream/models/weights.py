"""The formats of weights that a checkpoint can be converted to, and the names that ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

WeightFormat = Literal["fp16", "int8", "int4"]

_BY_QUANTISATION: Mapping[str, WeightFormat] = {
    "bitsandbytes": "int8",
    "bitsandbytes8": "int8",
    "dynamic_int8": "int8",
    "eetq": "int8",
    "int8": "int8",
    "smoothquant": "int8",
    "static_int8": "int8",
    "bitsandbytes-fp4": "int4",
    "bitsandbytes-nf4": "int4",
    "bitsandbytes4": "int4",
    "int4": "int4",
}
"""What TGI's --quantize, and LMI's option.quantize and option.dtype, call smaller weights."""


def quantised_to(*names: str | None) -> WeightFormat | None:
    """What the first name that asks for smaller weights asks for.

    None: other names are of formats that a checkpoint has already, and is then read as it is.
    """
    return next((_BY_QUANTISATION[name] for name in names if name and name in _BY_QUANTISATION), None)
