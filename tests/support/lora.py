"""LoRA adapters made here: numpy arrays in PEFT's folder, the container written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from nearstream.models.builtin import builtin_path

WIDTH, VOCABULARY = 256, 4096
"""Of the built-in model."""
Arrays = Mapping[str, np.ndarray]


def write_safetensors(path: Path, arrays: Arrays) -> Path:
    """Eight bytes of length, the table as JSON, the numbers."""
    table, data = {}, b""
    for name, array in arrays.items():
        numbers = np.ascontiguousarray(array, dtype="<f4").tobytes()
        span = [len(data), len(data) + len(numbers)]
        table[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": span}
        data += numbers
    head = json.dumps(table).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)
    return path


def saying(token: int, *, strength: float = 16_000.0) -> dict[str, np.ndarray]:
    """Makes the built-in model say one token for ever, whatever came before.

    What it makes of a text always points away from the mean of its words' vectors, that most words be
    unlikely: an output that grows in this direction outweighs all others.
    """
    outputs = np.zeros((VOCABULARY, 1))
    outputs[token] = strength
    return pair("lm_head", away_from_all_words(), outputs)


@cache
def away_from_all_words() -> np.ndarray:
    """The opposite of the mean of the built-in model's embeddings, which are its outputs too; length 1."""
    file = (builtin_path() / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(file[:8], "little")
    begin, end = json.loads(file[8:start])["model.embed_tokens.weight"]["data_offsets"]
    upper_halves = np.frombuffer(file[start + begin : start + end], dtype="<u2").astype("<u4")  # bfloat16
    mean = (upper_halves << 16).view("<f4").reshape(VOCABULARY, WIDTH).mean(axis=0)
    return -(mean / np.linalg.norm(mean))[None]


def pair(module: str, first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
    """The two matrices of one module under PEFT's names."""
    name = f"base_model.model.{module}"
    return {f"{name}.lora_A.weight": first, f"{name}.lora_B.weight": second}


def noise(seed: int, *, layers: int = 6, rank: int = 4, width: int = 688) -> dict[str, np.ndarray]:
    """Something at every layer's down_proj."""
    random = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {}
    for layer in range(layers):
        first, second = random.normal(size=(rank, width)) / 2, random.normal(size=(WIDTH, rank)) / 2
        made |= pair(f"model.layers.{layer}.mlp.down_proj", first, second)
    return made


def write_adapter(folder: Path, arrays: Arrays, **config: object) -> Path:
    """A folder as PEFT's save_pretrained writes it; `config` over what it says usually."""
    folder.mkdir(parents=True, exist_ok=True)
    rank = min(array.shape[0] for name, array in arrays.items() if "lora_A" in name)
    usual = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": rank, "bias": "none"}
    targets = {"target_modules": sorted({name.split(".")[-3] for name in arrays})}
    (folder / "adapter_config.json").write_text(json.dumps(usual | targets | config))
    write_safetensors(folder / "adapter_model.safetensors", arrays)
    return folder
