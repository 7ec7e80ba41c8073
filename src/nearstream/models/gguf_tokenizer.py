"""Writes the tokenizer that a GGUF file holds as the files a checkpoint has: tokenizer.json and its config.

Byte-level BPE ("gpt2") and SentencePiece BPE ("llama") are known. The split patterns are those of the
models' own tokenizer.json files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from nearstream.core.errors import Unusable
from nearstream.formats.gguf import Gguf, Value
from nearstream.models.directory import TOKENIZER, read_gguf

_CONFIG = "tokenizer_config.json"
_CONTROL, _USER_DEFINED = 3, 4

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITS = {
    "llama-bpe": _WORDS % "{1,3}",
    "llama3": _WORDS % "{1,3}",
    "qwen2": _WORDS % "",
    "qwen35": _WORDS % "",
}
_BYTE_LEVEL = ("gpt-2", "default", None)


def unpack_tokenizer(file: Path, target: Path) -> Path:
    """Write the tokenizer of the GGUF `file` to the folder `target`, unless it is there; its tokenizer.json.

    Raises Unusable for a kind of tokenizer that is not known.
    """
    if not (target / TOKENIZER).is_file():
        target.mkdir(parents=True, exist_ok=True)
        held = _Held(read_gguf(file), file)
        _write(target / _CONFIG, msgspec.json.encode(held.config()))
        _write(target / TOKENIZER, held.tokenizer().to_str().encode())
    return target / TOKENIZER


class _Held:
    """The tokenizer's part of a GGUF file's metadata."""

    def __init__(self, head: Gguf, file: Path) -> None:
        self._metadata: Mapping[str, Value] = head.metadata
        self._file = file
        self._tokens = [str(token) for token in self._list("tokens")]
        self._types = [int(str(kind)) for kind in self._list("token_type")]

    def config(self) -> dict[str, str | None]:
        """tokenizer_config.json, with the chat template."""
        template = self._metadata.get("tokenizer.chat_template")
        return {
            "chat_template": template if isinstance(template, str) else None,
            "bos_token": self._special("bos"),
            "eos_token": self._special("eos"),
        }

    def tokenizer(self) -> Tokenizer:
        """The tokenizer itself."""
        kind = self._get("model")
        if kind == "gpt2":
            made = self._byte_level()
        elif kind == "llama":
            made = self._sentence_pieces()
        else:
            raise self._unusable(f"its tokenizer is of the kind {kind!r}")
        made.add_special_tokens([AddedToken(text, special=True) for text in self._of_type(_CONTROL)])
        made.add_tokens([AddedToken(text, normalized=False) for text in self._of_type(_USER_DEFINED)])
        bos = self._special("bos")
        if bos and self._get("add_bos_token", default=kind == "llama"):
            number = made.token_to_id(bos)
            made.post_processor = processors.TemplateProcessing(
                single=f"{bos}:0 $A:0", special_tokens=[(bos, number)]
            )
        return made

    def _byte_level(self) -> Tokenizer:
        merges = [
            (left, right) for left, _, right in (str(pair).partition(" ") for pair in self._list("merges"))
        ]
        made = Tokenizer(models.BPE(self._vocabulary(), merges, ignore_merges=True))
        pre = self._get("pre", default=None)
        if pre in _BYTE_LEVEL:
            made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        elif pre in _SPLITS:
            made.pre_tokenizer = pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex(_SPLITS[str(pre)]), "isolated"),
                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
                ]
            )
        else:
            raise self._unusable(f"its tokenizer splits text in the way {pre!r}")
        made.decoder = decoders.ByteLevel()
        return made

    def _sentence_pieces(self) -> Tokenizer:
        scores = [float(str(score)) for score in self._list("scores")]
        merges = _merges(self._vocabulary(), scores)
        unknown = self._special("unknown") or "<unk>"
        made = Tokenizer(
            models.BPE(self._vocabulary(), merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
        )
        prefix = [normalizers.Prepend("▁")] if self._get("add_space_prefix", default=True) else []
        made.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", "▁")])
        strip = [decoders.Strip(" ", 1, 0)] if prefix else []
        made.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
        )
        return made

    def _vocabulary(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self._tokens)}

    def _of_type(self, kind: int) -> list[str]:
        return [token for token, found in zip(self._tokens, self._types, strict=False) if found == kind]

    def _special(self, name: str) -> str | None:
        number = self._metadata.get(f"tokenizer.ggml.{name}_token_id")
        return self._tokens[number] if isinstance(number, int) and number < len(self._tokens) else None

    def _get(self, key: str, *, default: Value | None = None) -> Value | None:
        return self._metadata.get(f"tokenizer.ggml.{key}", default)

    def _list(self, key: str) -> list[Value]:
        found = self._get(key)
        return found if isinstance(found, list) else []

    def _unusable(self, why: str) -> Unusable:
        return Unusable(
            f"{self._file}: {why}, which is not known; put the model's {TOKENIZER} beside the file"
        )


def _merges(vocabulary: Mapping[str, int], scores: list[float]) -> list[tuple[str, str]]:
    """SentencePiece keeps scores, not merges: any split into two known pieces, the likeliest whole first."""
    found = [
        (-scores[number], vocabulary[piece[:cut]], vocabulary[piece[cut:]], piece[:cut], piece[cut:])
        for piece, number in vocabulary.items()
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    return [(left, right) for *_, left, right in sorted(found)]


def _write(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)
