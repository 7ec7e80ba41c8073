"""The rules on numbers and lists as JSON schema says them; `wire.dialects.hf.rules` is what holds."""

from __future__ import annotations

from typing import Any

from nearstream.wire.dialects.limits import Limits

Schemas = dict[str, dict[str, Any]]
Bounds = dict[str, object]
_POSITIVE: Bounds = {"exclusiveMinimum": 0}
_AT_LEAST_ONE: Bounds = {"minimum": 1}
_WITHIN_TWO: Bounds = {"minimum": -2, "maximum": 2}
_SHARE: Bounds = {"exclusiveMinimum": 0, "exclusiveMaximum": 1}
_SEED: Bounds = {"maximum": 2**64 - 1}


_OF = {
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    "string": ("minLength",),
    "array": ("maxItems",),
}


def bounded(schemas: Schemas, limits: Limits) -> Schemas:
    """The schemas with what a server of these limits adds to the fields of a request."""
    for name, fields in _bounds(limits).items():
        properties = schemas[name]["properties"] if name in schemas else {}
        for field, bounds in fields.items():
            if field in properties:
                _bind(properties[field], bounds)
    return schemas


def _bind(schema: dict[str, Any], bounds: Bounds) -> None:
    """Where a field may be of several types, each gets the bounds that are of its kind."""
    for choice in schema.get("anyOf", [schema]):
        own = _OF.get(choice.get("type", ""), ())
        choice.update({key: bound for key, bound in bounds.items() if key in own})


def _bounds(limits: Limits) -> dict[str, dict[str, Bounds]]:
    shared: dict[str, Bounds] = {
        "repetition_penalty": _POSITIVE,
        "frequency_penalty": _WITHIN_TWO,
        "stop": {"maxItems": limits.max_stop_sequences},
        "seed": _SEED,
    }
    generate = shared | {
        "best_of": {"minimum": 1, "maximum": limits.max_best_of},
        "temperature": _POSITIVE,
        "top_k": _AT_LEAST_ONE,
        "top_p": _SHARE,
        "typical_p": _SHARE,
        "max_new_tokens": _AT_LEAST_ONE,
        "truncate": {"minimum": 1, "maximum": limits.max_input_tokens},
        "top_n_tokens": {"maximum": limits.max_top_n_tokens},
    }
    openai = shared | {
        "temperature": {"minimum": 0},
        "top_p": {"exclusiveMinimum": 0, "maximum": 1},
        "presence_penalty": _WITHIN_TWO,
        "max_tokens": _AT_LEAST_ONE,
        "max_completion_tokens": _AT_LEAST_ONE,
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
