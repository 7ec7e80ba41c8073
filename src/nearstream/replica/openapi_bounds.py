"""The rules on numbers and lists as JSON schema says them; `wire.dialects.rules` is what holds."""

from __future__ import annotations

from typing import Any

from nearstream.wire.dialects.terms import Limits

Schemas = dict[str, dict[str, Any]]
_POSITIVE = {"exclusiveMinimum": 0}
_AT_LEAST_ONE = {"minimum": 1}
_WITHIN_TWO = {"minimum": -2, "maximum": 2}
_SHARE = {"exclusiveMinimum": 0, "exclusiveMaximum": 1}
_SEED = {"maximum": 2**64 - 1}


def bounded(schemas: Schemas, limits: Limits) -> Schemas:
    """The schemas with what a server of these limits adds to the fields of a request."""
    for name, fields in _bounds(limits).items():
        properties = schemas[name]["properties"] if name in schemas else {}
        for field, bounds in fields.items():
            if field in properties:
                properties[field] |= bounds
    return schemas


def _bounds(limits: Limits) -> dict[str, dict[str, dict[str, object]]]:
    shared: dict[str, dict[str, object]] = {
        "repetition_penalty": dict(_POSITIVE),
        "frequency_penalty": dict(_WITHIN_TWO),
        "stop": {"maxItems": limits.max_stop_sequences},
        "seed": dict(_SEED),
    }
    generate = shared | {
        "best_of": {"minimum": 1, "maximum": limits.max_best_of},
        "temperature": dict(_POSITIVE),
        "top_k": dict(_AT_LEAST_ONE),
        "top_p": dict(_SHARE),
        "typical_p": dict(_SHARE),
        "max_new_tokens": dict(_AT_LEAST_ONE),
        "truncate": {"minimum": 1, "maximum": limits.max_input_tokens},
        "top_n_tokens": {"maximum": limits.max_top_n_tokens},
    }
    openai = shared | {
        "temperature": {"minimum": 0},
        "top_p": {"exclusiveMinimum": 0, "maximum": 1},
        "presence_penalty": dict(_WITHIN_TWO),
        "max_tokens": dict(_AT_LEAST_ONE),
        "n": {"minimum": 1, "maximum": limits.max_client_batch_size},
    }
    return {
        "GenerateRequest": {"inputs": {"minLength": 1}},
        "GenerateParameters": generate,
        "ChatRequest": openai | {"top_logprobs": {"maximum": limits.max_top_n_tokens}},
        "CompletionRequest": openai
        | {
            "logprobs": {"maximum": limits.max_top_n_tokens},
            "prompt": {"minLength": 1, "maxItems": limits.max_client_batch_size},
        },
    }
