"""What is taken for a LoRA adapter, and how everything else is turned away."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.lora import noise, pair, saying, write_adapter, write_safetensors

from nearstream.core.errors import Unusable
from nearstream.formats import safetensors
from nearstream.models.builtin import builtin_path
from nearstream.models.lora.modules import adaptable_modules
from nearstream.models.lora.peft import read_adapter
from nearstream.models.lora.store import AdapterStore

BASE = adaptable_modules(builtin_path())
DOWN = "model.layers.0.mlp.down_proj"


def weights(folder: Path) -> Path:
    return folder / "adapter_model.safetensors"


def test_the_models_own_description_says_what_may_be_changed():
    assert BASE[DOWN] == (256, 688)
    assert BASE["lm_head"] == (4096, 256)
    assert len(BASE) == 6 * 7 + 1


def test_alpha_over_rank_is_folded_into_the_second_matrix(tmp_path):
    arrays = noise(1)
    read = read_adapter(write_adapter(tmp_path, arrays, lora_alpha=8), BASE)
    name = f"base_model.model.{DOWN}.lora"
    assert np.allclose(read[DOWN].first, arrays[f"{name}_A.weight"])
    assert np.allclose(read[DOWN].second, 2 * arrays[f"{name}_B.weight"])


def test_a_module_may_have_a_rank_and_an_alpha_of_its_own(tmp_path):
    ones = pair("lm_head", np.ones((2, 256)), np.ones((4096, 2)))
    config = {"r": 4, "rank_pattern": {"lm_head": 2}, "alpha_pattern": {"lm_head": 6}}
    read = read_adapter(write_adapter(tmp_path, noise(1) | ones, **config), BASE)
    assert read["lm_head"].second[0, 0] == 3
    assert read[DOWN].first.shape == (4, 688)


def test_rank_stabilised_adapters_are_scaled_by_the_root_of_the_rank(tmp_path):
    ones = pair("lm_head", np.ones((4, 256)), np.ones((4096, 4)))
    read = read_adapter(write_adapter(tmp_path, ones, lora_alpha=6, use_rslora=True), BASE)
    assert read["lm_head"].second[0, 0] == 3


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_each_kind_of_number_is_read(tmp_path, kind):
    numbers = np.array([[0.5, -2.0, 1.25]] * 2, dtype="<f4")
    kinds = {"F32": numbers, "F16": numbers.astype("<f2"), "BF16": (numbers.view("<u4") >> 16).astype("<u2")}
    base = {"a.b": (2, 3)}
    folder = write_adapter(tmp_path, pair("a.b", numbers, np.ones((2, 2))))
    tensors = safetensors.decode(memoryview(weights(folder).read_bytes()))
    tensors["base_model.model.a.b.lora_A.weight"] = safetensors.Tensor(kind, (2, 3), kinds[kind].tobytes())
    weights(folder).write_bytes(b"".join(safetensors.encode(tensors)))
    assert read_adapter(folder, base)["a.b"].first.tolist() == numbers.tolist()


def broken(folder: Path, how: str) -> Path:
    """An adapter with one fault."""
    write_adapter(folder, saying(77))
    faults = {
        "half a file": lambda: weights(folder).write_bytes(weights(folder).read_bytes()[:9000]),
        "half a head": lambda: weights(folder).write_bytes(weights(folder).read_bytes()[:30]),
        "an empty file": lambda: weights(folder).write_bytes(b""),
        "another container": lambda: weights(folder).write_bytes(b"PK\x03\x04" + bytes(100)),
        "another model's shape": lambda: write_adapter(
            folder, pair("lm_head", np.ones((1, 512)), np.ones((4096, 1)))
        ),
        "a rank of nothing": lambda: write_adapter(folder, saying(77), r=0),
        "another rank": lambda: write_adapter(folder, saying(77), r=16),
        "an unknown target": lambda: write_adapter(
            folder, pair("model.layers.9.mlp.down_proj", np.ones((1, 688)), np.ones((256, 1)))
        ),
        "one half": lambda: write_safetensors(weights(folder), dict(list(saying(77).items())[:1])),
        "no tensors": lambda: write_safetensors(weights(folder), {}),
        "more than LoRA": lambda: write_safetensors(
            weights(folder), saying(77) | {"base_model.model.lm_head.weight": np.ones((2, 2))}
        ),
        "a copy of the model's own weight": lambda: write_safetensors(
            weights(folder), saying(77) | {"base_model.model.lm_head.base_layer.weight": np.ones((2, 2))}
        ),
        "not a number": lambda: write_adapter(folder, saying(77, strength=float("nan"))),
        "another method": lambda: write_adapter(folder, saying(77), peft_type="IA3"),
        "DoRA": lambda: write_adapter(folder, saying(77), use_dora=True),
        "biases": lambda: write_adapter(folder, saying(77), bias="all"),
        "no config": (folder / "adapter_config.json").unlink,
        "a config that is none": lambda: (folder / "adapter_config.json").write_text("{"),
        "no weights": weights(folder).unlink,
        "a pickle": lambda: weights(folder).rename(folder / "adapter_model.bin"),
    }
    faults[how]()
    return folder


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("half a file", "adapter_model.safetensors.*cut short.*again"),
        ("half a head", "adapter_model.safetensors.*head"),
        ("an empty file", "head"),
        ("another container", "adapter_model.safetensors.*head"),
        ("another model's shape", r"lora_A of lm_head.*\[1, 512\].*\[1, 256\].*another model"),
        ("another rank", r"\[1, 256\].*\[16, 256\].*adapter_config.json"),
        ("a rank of nothing", "rank below 1"),
        ("an unknown target", "model.layers.9.mlp.down_proj.*has not.*another model"),
        ("one half", "lora_A of lm_head alone"),
        ("no tensors", "no tensors"),
        ("more than LoRA", "base_model.model.lm_head.weight.*merge"),
        ("a copy of the model's own weight", "base_layer.*save_embedding_layers=False"),
        ("not a number", "no numbers"),
        ("another method", "IA3.*LORA"),
        ("DoRA", "use_dora.*merge"),
        ("biases", "bias 'all'"),
        ("no config", "adapter_config.json is missing"),
        ("a config that is none", "adapter_config.json cannot be used"),
        ("no weights", "adapter_model.safetensors is missing"),
        ("a pickle", "adapter_model.bin.*run code.*safe_serialization"),
    ],
)
def test_a_broken_adapter_is_unusable_and_it_is_said_why(tmp_path, how, told):
    with pytest.raises(Unusable, match=told):
        read_adapter(broken(tmp_path, how), BASE)


async def test_a_folder_becomes_a_file_that_an_engine_loads(tmp_path):
    folder = write_adapter(tmp_path / "parrot", saying(77), lora_alpha=3)
    file = await AdapterStore(BASE, tmp_path, lambda _: None).prepare(str(folder))
    tensors = safetensors.decode(memoryview(file.read_bytes()))
    assert tensors["base_model.model.lm_head.lora_B.weight"].shape == (4096, 1)
    assert np.frombuffer(tensors["base_model.model.lm_head.lora_B.weight"].data, "<f4").max() == 48_000


@pytest.mark.parametrize(
    "source", ["/nowhere/at/all", "no such thing", "org/name/file.gguf", "~nobody-here/x", "a" * 5000]
)
async def test_what_is_neither_a_folder_nor_on_a_hub_is_unusable(tmp_path, source):
    with pytest.raises(Unusable, match="no adapter"):
        await AdapterStore(BASE, tmp_path, lambda _: None).prepare(source)


async def test_a_model_whose_modules_have_no_names_takes_no_adapters(tmp_path):
    with pytest.raises(Unusable, match="GGUF"):
        await AdapterStore({}, tmp_path, lambda _: None).prepare(str(write_adapter(tmp_path, saying(77))))


def test_the_container_is_read_as_it_was_written():
    tensors = {"a": safetensors.Tensor("F32", (2, 1), bytes(8)), "b": safetensors.Tensor("U8", (0,), b"")}
    file = b"".join(safetensors.encode(tensors))
    read = safetensors.decode(memoryview(file))
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (read[name].dtype, read[name].shape) == (tensor.dtype, tensor.shape)
        assert bytes(read[name].data) == tensor.data
    assert json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])["a"]["shape"] == [2, 1]
