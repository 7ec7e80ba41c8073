from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from nearstream.core.errors import Unusable
from nearstream.models.directory import read_model
from nearstream.models.resolve import resolve

UINT32, FLOAT, STRING, ARRAY = 4, 6, 8, 9
TOKENS = ("<unk>", "<s>", "</s>", "<0x0A>", "a", "b", "ab", "▁", "▁ab", "é")
CONTROL = (2, 3, 3, 6, 1, 1, 1, 1, 1, 1)
SCORES = (0, 0, 0, 0, -9, -9, -2, -9, -1, -9)
BYTE_LEVEL = ("<unk>", "<s>", "</s>", "a", "b", "ab", "Ġ", "Ġab", "Ċ", "Ã", "©")


def string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(held: Any) -> bytes:
    """A type number and the value."""
    if isinstance(held, str):
        return struct.pack("<I", STRING) + string(held)
    if isinstance(held, int):
        return struct.pack("<II", UINT32, held)
    if isinstance(held, float):
        return struct.pack("<If", FLOAT, held)
    items = [value(item) for item in held]
    return (
        struct.pack("<I", ARRAY)
        + items[0][:4]
        + struct.pack("<Q", len(items))
        + b"".join(i[4:] for i in items)
    )


METADATA = {
    "general.architecture": "llama",
    "llama.context_length": 512,
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": CONTROL,
    "tokenizer.ggml.scores": tuple(map(float, SCORES)),
    "tokenizer.chat_template": "{{ messages }}",
}
BYTE_LEVEL_METADATA = METADATA | {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "llama-bpe",
    "tokenizer.ggml.tokens": BYTE_LEVEL,
    "tokenizer.ggml.token_type": (2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),
    "tokenizer.ggml.merges": ("a b", "Ġ ab"),
}


def gguf(path: Path, metadata: dict[str, Any] = METADATA, *, tensor_offset: int = 0, body: int = 64) -> Path:
    pairs = [string(key) + value(held) for key, held in metadata.items()]
    tensor = string("w") + struct.pack("<IQIQ", 1, 16, 1, tensor_offset)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    path.write_bytes(head + bytes(-len(head) % 32) + bytes(body))
    return path


def test_a_file_tells_what_an_engine_must_know(tmp_path):
    path = gguf(tmp_path / "tiny.gguf")
    model = read_model(path)
    assert (model.kind, model.name, model.model, model.path) == ("gguf", "tiny", path, tmp_path)
    assert (model.context_tokens, model.vocab_size, model.eos_token_ids) == (512, 10, frozenset({2}))
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


async def unpacked(tmp_path: Path, metadata: dict[str, Any]) -> tuple[Tokenizer, dict[str, str]]:
    model = await resolve(
        str(gguf(tmp_path / "tiny.gguf", metadata)), formats=("ir", "gguf"), cache=tmp_path / "cache"
    )
    assert model.tokenizer is not None and model.model == tmp_path / "tiny.gguf"
    config = json.loads((model.path / "tokenizer_config.json").read_text())
    return Tokenizer.from_file(str(model.tokenizer)), config


async def test_sentence_pieces_are_unpacked_from_the_file(tmp_path):
    tokenizer, config = await unpacked(tmp_path, METADATA)
    assert tokenizer.encode("ab ab\n").tokens == ["<s>", "▁ab", "▁ab", "<0x0A>"]
    assert tokenizer.decode(tokenizer.encode("ab ab\n").ids) == "ab ab\n"
    assert tokenizer.encode("ab</s>", add_special_tokens=False).tokens == ["▁ab", "</s>"]
    assert config == {"chat_template": "{{ messages }}", "bos_token": "<s>", "eos_token": "</s>"}


async def test_byte_level_pieces_are_unpacked_from_the_file(tmp_path):
    tokenizer, _ = await unpacked(tmp_path, BYTE_LEVEL_METADATA)
    assert tokenizer.encode("ab abé\n").tokens == ["ab", "Ġab", "Ã", "©", "Ċ"]
    assert tokenizer.decode(tokenizer.encode("ab abé\n").ids) == "ab abé\n"


@pytest.mark.parametrize(
    "unknown", [{"tokenizer.ggml.model": "rwkv"}, {"tokenizer.ggml.pre": "never-seen"}], ids=["model", "pre"]
)
async def test_a_tokenizer_that_is_not_known_asks_for_the_models_own(tmp_path, unknown):
    with pytest.raises(Unusable, match=r"tokenizer\.json beside the file"):
        await unpacked(tmp_path, BYTE_LEVEL_METADATA | unknown)
