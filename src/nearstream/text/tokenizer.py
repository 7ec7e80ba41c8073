"""A model's tokenizer: text to token ids, and what the ids of a stream need to become text again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import tokenizers

from nearstream.core.errors import Unusable
from nearstream.formats.json_file import read_json_object
from nearstream.text.detokenizer import ByteDetokenizer, Detokenizer, WindowDetokenizer
from nearstream.text.pieces import fallback_bytes, is_byte_level, piece_bytes

_SHORT_TEXT = 1000
CONTEXT_TOKENS = 5
"""Prompt tokens a detokenizer looks back on, so that the answer's first word keeps its leading space."""


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The texts that templates name and the ids that end an answer."""

    bos: str | None = None
    eos: str | None = None
    eos_ids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Piece:
    """One token of a text, with the character offsets where it starts and stops."""

    id: int
    start: int
    stop: int


class Tokenizer:
    """Encodes prompts and makes one detokenizer for each answer. Threads may share it."""

    def __init__(self, backend: tokenizers.Tokenizer, special: SpecialTokens) -> None:
        self._backend = backend
        self.special = special
        self._special_texts = {
            token_id: token.content
            for token_id, token in backend.get_added_tokens_decoder().items()
            if token.special
        }
        decoder = msgspec.json.decode(backend.to_str().encode()).get("decoder")
        self._pieces: Mapping[int, bytes] | None = piece_bytes(backend) if is_byte_level(decoder) else None
        self._fallback = fallback_bytes(backend)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of `text`; `add_special_tokens` lets the tokenizer add what it starts a text with."""
        if len(text) < _SHORT_TEXT:
            return self._backend.encode(text, add_special_tokens=add_special_tokens).ids
        # Unlike `encode` it lets go of the GIL; offsets, which it leaves out, are a third of the work.
        return self._backend.encode_batch_fast([text], add_special_tokens=add_special_tokens)[0].ids

    def pieces(self, text: str, *, add_special_tokens: bool = True) -> list[Piece]:
        """The tokens of `text` with their offsets."""
        encoding = self._backend.encode_batch([text], add_special_tokens=add_special_tokens)[0]
        return [
            Piece(token_id, start, stop)
            for token_id, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True)
        ]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids` without control tokens."""
        return self._backend.decode(list(ids), skip_special_tokens=True)

    def special_text(self, token_id: int) -> str | None:
        """The text of a control token; None for a token of text."""
        return self._special_texts.get(token_id)

    def detokenizer(self, context: Sequence[int] = ()) -> Detokenizer:
        """For one answer, which continues `context` (the prompt's ids)."""
        if self._pieces is not None:
            return ByteDetokenizer(self._pieces)
        tail = [i for i in context[-CONTEXT_TOKENS:] if i not in self._special_texts]
        return WindowDetokenizer(self._text_of, fallback=self._fallback, context=tail)

    def _text_of(self, ids: list[int]) -> str:
        return self._backend.decode(ids, skip_special_tokens=False)


def load_tokenizer(directory: Path) -> Tokenizer:
    """Read `tokenizer.json` and what names its special tokens. Raises Unusable."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise Unusable(f"no tokenizer.json in {directory}: a model directory needs one")
    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library has no narrower one
        raise Unusable(f"cannot read {path}: {error}") from error
    # A file may ask for truncation or padding, which would silently change prompts.
    backend.no_truncation()
    backend.no_padding()
    config = read_json_object(directory / "tokenizer_config.json")
    special = SpecialTokens(
        bos=_token_text(config.get("bos_token")),
        eos=_token_text(config.get("eos_token")),
        eos_ids=_eos_ids(directory, backend, _token_text(config.get("eos_token"))),
    )
    return Tokenizer(backend, special)


def _token_text(value: object) -> str | None:
    """A token is written as its text, or as an object with `content`."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _eos_ids(directory: Path, backend: tokenizers.Tokenizer, eos: str | None) -> frozenset[int]:
    """From generation_config.json, else config.json; the tokenizer's own end-of-sequence token counts too."""
    found = _id_set(read_json_object(directory / "generation_config.json").get("eos_token_id"))
    if not found:
        found = _id_set(read_json_object(directory / "config.json").get("eos_token_id"))
    own = backend.token_to_id(eos) if eos is not None else None
    return found if own is None else found | {own}


def _id_set(value: object) -> frozenset[int]:
    values = value if isinstance(value, list) else [value]
    return frozenset(item for item in values if isinstance(item, int))
