"""What is found at a model's path, looked at once: its kind, whether it is whole, what engines must know."""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nearstream.core.errors import Unusable
from nearstream.core.models import ModelFormat
from nearstream.formats import gguf, safetensors
from nearstream.models.checkpoint import eos_token_ids, kv_bytes_per_token, read_config

IR_MODEL = "openvino_model.xml"
IR_WEIGHTS = "openvino_model.bin"
TOKENIZER = "tokenizer.json"
DEFAULT_CONTEXT_TOKENS = 4096
"""For a model that does not say how much it was trained for."""
ANY_FORMAT: tuple[ModelFormat, ...] = ("ir", "hf", "gguf")
"""Of several formats in one folder the first is read, unless another is wanted."""

_FILES: dict[ModelFormat, str] = {"ir": IR_MODEL, "hf": "*.safetensors", "gguf": "*.gguf"}
_CONSTANT = re.compile(rb'offset="(\d+)" size="(\d+)"')
_SAFETENSORS_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """A whole model on this machine. None stands for what its files do not tell.

    `path` is the folder of its tokenizer and configs; `model` is what an engine loads: that folder, or a GGUF
    file.
    `kind` is the format that was read, where a folder holds several.
    """

    path: Path
    kind: ModelFormat
    name: str
    model: Path
    architecture: str = ""
    dtype: str | None = None
    context_tokens: int | None = None
    vocab_size: int | None = None
    eos_token_ids: frozenset[int] = frozenset()
    kv_bytes_per_token: int | None = None
    tokenizer: Path | None = None
    """tokenizer.json; None only for a GGUF file that has none beside it, which `resolve` unpacks."""


def read_model(
    path: Path, *, name: str | None = None, wanted: Collection[ModelFormat] = ANY_FORMAT
) -> ModelDirectory:
    """Look at the folder or GGUF file at `path`. Raises Unusable, saying what is missing or cut short.

    Of several formats in one folder the first of those `wanted` is read; of none of those, the first.
    """
    if not path.exists():
        raise Unusable(f"there is no model at {path}: the path does not exist")
    if path.is_file():
        if path.suffix != ".gguf":
            raise Unusable(f"{path} is a file, but no .gguf file; name the folder that holds the model")
        return _gguf(path, name or path.stem)
    found = [kind for kind in ANY_FORMAT if next(path.glob(_FILES[kind]), None) is not None]
    if not found:
        raise Unusable(f"{path} holds no model: no {IR_MODEL}, no *.gguf and no *.safetensors is in it")
    kind = next((kind for kind in found if kind in wanted), found[0])
    return _READERS[kind](path, name or path.name)


def _ir(path: Path, name: str) -> ModelDirectory:
    _check_ir(path)
    return _checkpoint(path, "ir", name)


def _hf(path: Path, name: str) -> ModelDirectory:
    _check_safetensors(path, sorted(path.glob(_FILES["hf"])))
    return _checkpoint(path, "hf", name)


def _checkpoint(path: Path, kind: ModelFormat, name: str) -> ModelDirectory:
    tokenizer = path / TOKENIZER
    if not tokenizer.is_file():
        raise Unusable(
            f"{path} has no {TOKENIZER}: the text of prompts and answers cannot be made without it"
        )
    config = read_config(path)
    text = config.text
    return ModelDirectory(
        path=path,
        kind=kind,
        name=name,
        model=path,
        architecture=config.model_type,
        dtype=config.dtype or config.torch_dtype,
        context_tokens=text.max_position_embeddings or text.n_positions,
        vocab_size=text.vocab_size,
        eos_token_ids=eos_token_ids(path, config),
        kv_bytes_per_token=kv_bytes_per_token(config),
        tokenizer=tokenizer,
    )


def read_gguf(path: Path) -> gguf.Gguf:
    """The head of the GGUF file at `path`. Raises Unusable where it is not GGUF or is cut short."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return gguf.parse(data)
    except (OSError, ValueError) as error:
        raise Unusable(f"{path} cannot be read as a GGUF file: {error}") from error


def _gguf(path: Path, name: str) -> ModelDirectory:
    head = read_gguf(path)
    if path.stat().st_size <= head.least_bytes:
        raise Unusable(f"{path} is cut short: its last tensor begins at byte {head.least_bytes}")
    tokens = head.metadata.get("tokenizer.ggml.tokens")
    ends = (head.metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom"))
    tokenizer = path.parent / TOKENIZER
    return ModelDirectory(
        path=path.parent,
        kind="gguf",
        name=name,
        model=path,
        architecture=str(head.metadata.get("general.architecture", "")),
        context_tokens=head.integer("context_length"),
        vocab_size=len(tokens) if isinstance(tokens, list) else head.integer("vocab_size"),
        eos_token_ids=frozenset(end for end in ends if isinstance(end, int)),
        kv_bytes_per_token=_gguf_kv_bytes(head),
        tokenizer=tokenizer if tokenizer.is_file() else None,
    )


def _gguf_kv_bytes(head: gguf.Gguf) -> int | None:
    layers, heads = head.integer("block_count"), head.integer("attention.head_count")
    width = head.integer("embedding_length")
    if not layers or not heads or not width:
        return None
    size = head.integer("attention.key_length") or width // heads
    return 2 * layers * (head.integer("attention.head_count_kv") or heads) * size * 2


def _check_ir(path: Path) -> None:
    weights = path / IR_WEIGHTS
    if not weights.is_file():
        raise Unusable(f"{path} has {IR_MODEL} but no {IR_WEIGHTS}")
    spans = _CONSTANT.finditer((path / IR_MODEL).read_bytes())
    wanted = max((int(span[1]) + int(span[2]) for span in spans), default=0)
    _check_size(weights, wanted)


def _check_safetensors(path: Path, shards: list[Path]) -> None:
    index = path / _SAFETENSORS_INDEX
    if index.is_file():
        names = set(msgspec.json.decode(index.read_bytes(), type=_Index).weight_map.values())
        if missing := sorted(names - {shard.name for shard in shards}):
            raise Unusable(f"{path} is not whole: {missing[0]} is missing, which {index.name} names")
    for shard in shards:
        _check_size(shard, _safetensors_bytes(shard))


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def _safetensors_bytes(path: Path) -> int:
    with path.open("rb") as file:
        head = file.read(safetensors.LENGTH_BYTES)
        length = safetensors.head_bytes(head)
        if length > path.stat().st_size:
            raise Unusable(f"{path} is cut short: it ends within its head")
        head += file.read(length - len(head))
    try:
        return safetensors.least_bytes(head)
    except safetensors.Damaged as error:
        raise Unusable(f"{path} is not a safetensors file: {error}") from error


def _check_size(path: Path, wanted: int) -> None:
    if (found := path.stat().st_size) < wanted:
        raise Unusable(f"{path} is cut short: {found} bytes are there, {wanted} belong to it")


_READERS: dict[ModelFormat, Callable[[Path, str], ModelDirectory]] = {
    "ir": _ir,
    "hf": _hf,
    "gguf": lambda path, name: _gguf(min(path.glob(_FILES["gguf"])), name),
}
