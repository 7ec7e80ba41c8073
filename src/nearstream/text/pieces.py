"""The bytes that a token stands for, read from the kinds of vocabularies that can split a character."""

from __future__ import annotations

from collections.abc import Mapping

import tokenizers


def is_byte_level(decoder: object) -> bool:
    """Whether a tokenizer.json's `decoder` only joins byte-level pieces, as GPT-2's and Llama 3's does."""
    if not isinstance(decoder, dict):
        return False
    if decoder.get("type") == "Sequence":
        steps = decoder.get("decoders")
        return isinstance(steps, list) and len(steps) == 1 and is_byte_level(steps[0])
    return decoder.get("type") == "ByteLevel"


def piece_bytes(backend: tokenizers.Tokenizer) -> Mapping[int, bytes]:
    """The bytes of every token of a byte-level vocabulary; control tokens are left out: they say no text."""
    alphabet = byte_level_alphabet()
    special = {i for i, token in backend.get_added_tokens_decoder().items() if token.special}
    return {
        token_id: _bytes_of(piece, alphabet)
        for piece, token_id in backend.get_vocab(with_added_tokens=True).items()
        if token_id not in special
    }


def fallback_bytes(backend: tokenizers.Tokenizer) -> Mapping[int, int]:
    """The byte of every `<0xNN>` token: how SentencePiece vocabularies spell what they have no piece for."""
    vocabulary = backend.get_vocab(with_added_tokens=True)
    return {vocabulary[piece]: byte for byte in range(256) if (piece := f"<0x{byte:02X}>") in vocabulary}


def byte_level_alphabet() -> dict[str, int]:
    """GPT-2's spelling of bytes: printable Latin-1 stands for itself, the others follow from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + n): b for n, b in enumerate(others)}


def _bytes_of(piece: str, alphabet: Mapping[str, int]) -> bytes:
    try:
        return bytes([alphabet[character] for character in piece])
    except KeyError:  # an added token, written as plain text
        return piece.encode()
