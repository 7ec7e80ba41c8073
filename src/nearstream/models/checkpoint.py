"""What the JSON files of a Hugging Face checkpoint, and of an IR made from one, say of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from nearstream.core.errors import Unusable

_KV_BYTES = 2
"""OpenVINO keeps 16-bit keys and values on CPUs by default."""

TokenIds = int | list[int] | None
File = TypeVar("File", bound=msgspec.Struct)


class _Generation(msgspec.Struct):
    eos_token_id: TokenIds = None


class _Text(msgspec.Struct):
    vocab_size: int | None = None
    max_position_embeddings: int | None = None
    n_positions: int | None = None
    num_hidden_layers: int | None = None
    n_layer: int | None = None
    num_attention_heads: int | None = None
    n_head: int | None = None
    num_key_value_heads: int | None = None
    hidden_size: int | None = None
    n_embd: int | None = None
    head_dim: int | None = None
    eos_token_id: TokenIds = None


class Config(_Text):
    """config.json. A model of text and images keeps what matters here under `text_config`."""

    model_type: str = ""
    dtype: str | None = None
    torch_dtype: str | None = None
    text_config: _Text | None = None

    @property
    def text(self) -> _Text:
        """The language model's part."""
        return self if self.num_hidden_layers or self.text_config is None else self.text_config


class _Added(msgspec.Struct):
    id: int
    content: str


class _Tokenizer(msgspec.Struct):
    added_tokens: list[_Added] = []


class _TokenizerConfig(msgspec.Struct):
    eos_token: str | dict[str, msgspec.Raw] | None = None


def read_config(folder: Path) -> Config:
    """The model's config.json; an empty one where there is none."""
    return _read(folder / "config.json", Config)


def eos_token_ids(folder: Path, config: Config) -> frozenset[int]:
    """The ids that end an answer: the generation config's, else the config's; and the tokenizer's own."""
    generation = _read(folder / "generation_config.json", _Generation)
    ids = _ids(generation.eos_token_id) or _ids(config.text.eos_token_id) or _ids(config.eos_token_id)
    return ids | _tokenizer_eos(folder)


def kv_bytes_per_token(config: Config) -> int | None:
    """Bytes of keys and values of one token over all layers, None where config.json does not tell."""
    text = config.text
    layers, heads = text.num_hidden_layers or text.n_layer, text.num_attention_heads or text.n_head
    hidden = text.hidden_size or text.n_embd
    if not layers or not heads or not (text.head_dim or hidden):
        return None
    head_dim = text.head_dim or (hidden or 0) // heads
    return 2 * layers * (text.num_key_value_heads or heads) * head_dim * _KV_BYTES


def _tokenizer_eos(folder: Path) -> frozenset[int]:
    eos = _read(folder / "tokenizer_config.json", _TokenizerConfig).eos_token
    if isinstance(eos, dict):
        eos = msgspec.json.decode(eos["content"], type=str) if "content" in eos else None
    if eos is None:
        return frozenset()
    added = _read(folder / "tokenizer.json", _Tokenizer).added_tokens
    return frozenset(token.id for token in added if token.content == eos)


def _ids(found: TokenIds) -> frozenset[int]:
    if found is None:
        return frozenset()
    return frozenset(found if isinstance(found, list) else [found])


def _read(path: Path, kind: type[File]) -> File:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return kind()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unusable(f"{path} cannot be used: {error}") from error
