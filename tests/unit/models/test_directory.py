from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from nearstream.core.errors import Unusable
from nearstream.models.directory import read_model

CONFIG = {
    "model_type": "llama",
    "max_position_embeddings": 2048,
    "vocab_size": 300,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "eos_token_id": 2,
    "torch_dtype": "bfloat16",
}


def write(folder: Path, **documents: Any) -> Path:
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def ir(tmp_path) -> Path:
    constant = '<data element_type="f16" shape="4" offset="8" size="8" />'
    (tmp_path / "openvino_model.xml").write_text(f"<net>{constant}</net>")
    (tmp_path / "openvino_model.bin").write_bytes(bytes(16))
    return write(tmp_path, config=CONFIG, tokenizer={"added_tokens": [{"id": 7, "content": "<|end|>"}]})


def safetensors(path: Path, size: int, *, cut: int = 0) -> None:
    head = json.dumps({"w": {"dtype": "F16", "shape": [size // 2], "data_offsets": [0, size]}}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(size - cut))


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    safetensors(tmp_path / "model.safetensors", 64)
    return write(tmp_path, config=CONFIG, tokenizer={})


def test_an_ir_tells_what_an_engine_must_know(ir):
    model = read_model(ir)
    assert (model.kind, model.model, model.architecture, model.dtype) == ("ir", ir, "llama", "bfloat16")
    assert (model.context_tokens, model.vocab_size, model.eos_token_ids) == (2048, 300, frozenset({2}))
    assert model.kv_bytes_per_token == 2 * 2 * 2 * 16 * 2
    assert model.tokenizer == ir / "tokenizer.json"


def test_the_generation_configs_ends_and_the_tokenizers_end_an_answer(ir):
    write(ir, generation_config={"eos_token_id": [3, 4]}, tokenizer_config={"eos_token": "<|end|>"})
    assert read_model(ir).eos_token_ids == {3, 4, 7}


def test_an_end_of_sequence_token_may_be_an_object(ir):
    write(ir, tokenizer_config={"eos_token": {"content": "<|end|>", "special": True}})
    assert read_model(ir).eos_token_ids == {2, 7}


def test_a_model_of_text_and_images_is_described_by_its_text_part(ir):
    write(ir, config={"model_type": "llava", "text_config": CONFIG})
    model = read_model(ir)
    assert (model.architecture, model.context_tokens, model.eos_token_ids) == ("llava", 2048, frozenset({2}))


def test_a_checkpoint_is_known_by_its_safetensors(checkpoint):
    assert read_model(checkpoint, name="org/name").kind == "hf"
    assert read_model(checkpoint, name="org/name").name == "org/name"


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Unusable, match="nowhere"):
        read_model(tmp_path / "nowhere")


def test_a_folder_without_weights_says_what_was_looked_for(tmp_path):
    with pytest.raises(Unusable, match=r"openvino_model\.xml.*gguf.*safetensors"):
        read_model(tmp_path)


def test_weights_as_pickles_are_no_model(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(Unusable):
        read_model(tmp_path)


def test_an_ir_cut_short_is_told_from_a_whole_one(ir):
    (ir / "openvino_model.bin").write_bytes(bytes(15))
    with pytest.raises(Unusable, match="cut short: 15 bytes are there, 16"):
        read_model(ir)


def test_an_ir_without_weights_is_refused(ir):
    (ir / "openvino_model.bin").unlink()
    with pytest.raises(Unusable, match=r"no openvino_model\.bin"):
        read_model(ir)


def test_a_checkpoint_cut_short_is_told_from_a_whole_one(checkpoint):
    safetensors(checkpoint / "model.safetensors", 64, cut=1)
    with pytest.raises(Unusable, match="cut short"):
        read_model(checkpoint)


def test_a_missing_shard_is_named(checkpoint):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(Unusable, match=r"model-2\.safetensors is missing"):
        read_model(checkpoint)


def test_a_model_without_a_tokenizer_is_refused(ir):
    (ir / "tokenizer.json").unlink()
    with pytest.raises(Unusable, match=r"no tokenizer\.json"):
        read_model(ir)


def test_a_broken_config_is_named(ir):
    (ir / "config.json").write_text("{")
    with pytest.raises(Unusable, match=r"config\.json"):
        read_model(ir)
