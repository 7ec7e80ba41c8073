"""The bodies of /info, /tokenize and /chat_tokenize."""

from __future__ import annotations

import msgspec

from nearstream.replica.settings import ServerSettings
from nearstream.text.tokenizer import Tokenizer


def info(settings: ServerSettings) -> bytes:
    """The answer of /info: TGI 3's keys, then those that only 1.x and 2.x had."""
    limits = settings.terms.limits
    return msgspec.json.encode(
        {
            "model_id": settings.model_id,
            "model_sha": settings.model_sha,
            "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": limits.max_concurrent_requests,
            "max_best_of": limits.max_best_of,
            "max_stop_sequences": limits.max_stop_sequences,
            "max_input_tokens": limits.max_input_tokens,
            "max_total_tokens": limits.max_total_tokens,
            "validation_workers": 1,
            "max_client_batch_size": limits.max_client_batch_size,
            "router": "nearstream",
            "version": settings.terms.release.version,
            "sha": None,
            "docker_label": None,
            "model_dtype": settings.model_dtype,
            "model_device_type": settings.compute_type,
            "max_input_length": limits.max_input_tokens,
            "waiting_served_ratio": 0.3,
            "max_batch_total_tokens": settings.batch_tokens,
            "max_waiting_tokens": 20,
        }
    )


def tokens(text: str, tokenizer: Tokenizer, *, add_special_tokens: bool = True) -> bytes:
    """The answer of /tokenize: every token with its text and byte offsets."""
    sizes = [len(character.encode(errors="replace")) for character in text]
    offsets = [0]
    for size in sizes:
        offsets.append(offsets[-1] + size)
    return msgspec.json.encode(
        [
            {
                "id": piece.id,
                "text": text[piece.start : piece.stop],
                "start": offsets[piece.start],
                "stop": offsets[piece.stop],
            }
            for piece in tokenizer.pieces(text, add_special_tokens=add_special_tokens)
        ]
    )


def templated(text: str, tokens: bytes) -> bytes:
    """The answer of /chat_tokenize: a conversation as the model sees it."""
    return b'{"tokenize_response":%b,"templated_text":%b}' % (tokens, msgspec.json.encode(text))
