"""Reads a LoRA adapter as PEFT's save_pretrained writes it, and holds it against the model it is for.

Follows https://huggingface.co/docs/peft/developer_guides/checkpoint. OpenVINO takes weights of any shape and
half a file without a word, and pickles can run code: so nothing reaches it that was not looked at here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from nearstream.core.errors import Unusable
from nearstream.formats import safetensors
from nearstream.formats.safetensors import Tensor
from nearstream.models.lora.modules import Modules

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PICKLE = "adapter_model.bin"
_NAME = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<half>[AB])(?:\.\w+)?\.weight")
_KINDS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_MODULES_SHOWN = 4
Matrix = npt.NDArray[np.float32]
Number = TypeVar("Number", int, float)


class PeftConfig(msgspec.Struct, frozen=True):
    """What of adapter_config.json matters here. The patterns give single modules their own rank and alpha."""

    peft_type: str = "LORA"
    r: int = 8
    lora_alpha: float = 8
    use_rslora: bool = False
    use_dora: bool = False
    bias: str = "none"
    rank_pattern: dict[str, int] = {}
    alpha_pattern: dict[str, float] = {}

    def rank(self, module: str) -> int:
        return _of(module, self.rank_pattern, self.r)

    def scale(self, module: str) -> float:
        """By what the product of a module's two matrices is multiplied."""
        rank, alpha = self.rank(module), _of(module, self.alpha_pattern, self.lora_alpha)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


@dataclass(frozen=True, slots=True)
class Change:
    """What is added to a module's weight: `second` [outputs, rank] times `first` [rank, inputs]."""

    first: Matrix
    second: Matrix


def read_adapter(folder: Path, base: Modules) -> dict[str, Change]:
    """The changes to each module, their scale folded in. Raises Unusable with file, fault and remedy."""
    if not folder.is_dir():
        raise Unusable(f"there is no adapter at {folder}: a folder with {CONFIG} and {WEIGHTS} is wanted")
    path = folder / WEIGHTS
    if not path.is_file():
        raise Unusable(_no_weights(folder))
    config = _config(folder / CONFIG)
    try:
        tensors = safetensors.decode(memoryview(path.read_bytes()))
    except (OSError, safetensors.Damaged) as error:
        raise Unusable(f"{path} cannot be used: {error}; fetch or save it again") from error
    halves = _halves(path, tensors)
    return {module: _change(path, module, halves[module], config, base) for module in halves}


def _no_weights(folder: Path) -> str:
    if (folder / PICKLE).is_file():
        return (
            f"{folder / PICKLE} is not read: a pickle can run code. Save the adapter with PEFT's "
            f"save_pretrained(…, safe_serialization=True), which writes {WEIGHTS}"
        )
    return f"{folder} holds no adapter: {WEIGHTS} is missing"


def _config(path: Path) -> PeftConfig:
    try:
        config = msgspec.json.decode(path.read_bytes(), type=PeftConfig)
    except FileNotFoundError:
        raise Unusable(f"{path.parent} holds no adapter: {path.name} is missing") from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unusable(f"{path} cannot be used: {error}") from error
    if config.peft_type.upper() != "LORA":
        raise Unusable(f"{path} has peft_type {config.peft_type!r}: only LORA adapters are served")
    if config.use_dora or config.bias != "none":
        change = "use_dora" if config.use_dora else f"bias {config.bias!r}"
        raise Unusable(f"{path} asks for {change}, which is not served: merge such an adapter into its model")
    if min((config.r, *config.rank_pattern.values())) < 1:
        raise Unusable(f"{path} has a rank below 1, as r or in rank_pattern")
    try:
        [re.compile(key) for key in (*config.rank_pattern, *config.alpha_pattern)]
    except re.error as error:
        raise Unusable(f"{path} has a pattern that is no regular expression: {error}") from error
    return config


def _halves(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The two matrices of each module, A and B."""
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        found = _NAME.fullmatch(name)
        if found is None:
            copied = ".base_layer." in name
            remedy = "save it with save_embedding_layers=False" if copied else "merge it into its model"
            raise Unusable(
                f"{path} has a tensor {name}: only lora_A and lora_B of linear modules are served; {remedy}"
            )
        halves.setdefault(found["module"], {})[found["half"]] = tensor
    if not halves:
        raise Unusable(f"{path} has no tensors")
    return halves


def _change(
    path: Path, module: str, halves: Mapping[str, Tensor], config: PeftConfig, base: Modules
) -> Change:
    if module not in base:
        some = ", ".join(sorted(base)[:_MODULES_SHOWN])
        raise Unusable(
            f"{path} changes {module}, which the model has not; it has {some} … Is it for another model?"
        )
    if halves.keys() != {"A", "B"}:
        raise Unusable(
            f"{path} has lora_{next(iter(halves))} of {module} alone: lora_A and lora_B are wanted"
        )
    outputs, inputs = base[module]
    rank = config.rank(module)
    for half, wanted in (("A", (rank, inputs)), ("B", (outputs, rank))):
        came = halves[half].shape
        if came != wanted:
            raise Unusable(
                f"{path} has lora_{half} of {module} in the shape {list(came)}, {list(wanted)} is wanted "
                f"by the model and by r of {CONFIG}. Is it for another model?"
            )
    first, second = (_matrix(path, f"lora_{half} of {module}", halves[half]) for half in "AB")
    return Change(first, second * np.float32(config.scale(module)))


def _matrix(path: Path, name: str, tensor: Tensor) -> Matrix:
    if tensor.dtype not in _KINDS:
        raise Unusable(f"{path} has {name} as {tensor.dtype}: {', '.join(_KINDS)} are read")
    numbers = np.frombuffer(tensor.data, dtype=_KINDS[tensor.dtype])
    if tensor.dtype == "BF16":
        matrix = (numbers.astype(np.uint32) << 16).view(np.float32)
    else:
        matrix = numbers.astype(np.float32)
    if not np.isfinite(matrix).all():
        raise Unusable(f"{path} has {name} with values that are no numbers: its training went wrong")
    return matrix.reshape(tensor.shape)


def _of(module: str, pattern: Mapping[str, Number], usual: Number) -> Number:
    """A pattern's key is a regular expression for the end of a module's name."""
    keyed = (value for key, value in pattern.items() if re.fullmatch(rf"(?:.*\.)?(?:{key})", module))
    return next(keyed, usual)
