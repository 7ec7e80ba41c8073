from __future__ import annotations

import struct
from pathlib import Path

import pytest

from nearstream.core.errors import Unusable
from nearstream.models.directory import read_model

UINT32, STRING, ARRAY = 4, 8, 9


def string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def number(key: str, value: int) -> bytes:
    return string(key) + struct.pack("<II", UINT32, value)


def gguf(path: Path, *, tensor_offset: int = 0, body: int = 64) -> Path:
    pairs = [
        string("general.architecture") + struct.pack("<I", STRING) + string("llama"),
        number("llama.context_length", 512),
        number("llama.block_count", 2),
        number("llama.embedding_length", 64),
        number("llama.attention.head_count", 4),
        number("llama.attention.head_count_kv", 2),
        number("tokenizer.ggml.eos_token_id", 2),
        string("tokenizer.ggml.tokens")
        + struct.pack("<IIQ", ARRAY, STRING, 3)
        + b"".join(map(string, ("a", "b", "é"))),
    ]
    tensor = string("w") + struct.pack("<IQIQ", 1, 16, 1, tensor_offset)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    path.write_bytes(head + bytes(-len(head) % 32) + bytes(body))
    return path


def test_a_file_tells_what_an_engine_must_know(tmp_path):
    path = gguf(tmp_path / "tiny.gguf")
    model = read_model(path)
    assert (model.kind, model.name, model.model, model.path) == ("gguf", "tiny", path, tmp_path)
    assert (model.context_tokens, model.vocab_size, model.eos_token_ids) == (512, 3, {2})
    assert model.kv_bytes_per_token == 2 * 2 * 2 * 16 * 2
    assert model.tokenizer is None


def test_a_tokenizer_beside_the_file_is_found_and_the_folder_names_the_model(tmp_path):
    gguf(tmp_path / "tiny.gguf")
    (tmp_path / "tokenizer.json").write_text("{}")
    assert read_model(tmp_path).tokenizer == tmp_path / "tokenizer.json"
    assert read_model(tmp_path).name == tmp_path.name


def test_a_file_that_ends_before_its_last_tensor_is_refused(tmp_path):
    with pytest.raises(Unusable, match="cut short"):
        read_model(gguf(tmp_path / "cut.gguf", tensor_offset=4096))


@pytest.mark.parametrize("kept", [0, 3, 10, 60, 200])
def test_a_file_cut_within_its_head_is_refused(tmp_path, kept):
    path = gguf(tmp_path / "cut.gguf")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(Unusable):
        read_model(path)


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(Unusable, match="begins with"):
        read_model(path)
