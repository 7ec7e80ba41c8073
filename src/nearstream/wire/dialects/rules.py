"""TGI's rules on generation parameters: its order, its words; and the Sampling that follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from nearstream.core.errors import Invalid, Unsupported
from nearstream.core.generation import Grammar, Sampling
from nearstream.wire.dialects.hf import Parameters
from nearstream.wire.dialects.terms import Limits, Terms

SCHEMA_KINDS = frozenset({"json", "json_object", "json_schema"})


def check(asked: Parameters, limits: Limits, *, inputs: str) -> None:
    """Raises Invalid with the first rule that is broken. Token counts are for later, when they are known."""
    for broken, message in _rules(asked, limits):
        if broken:
            raise Invalid(message)
    if not inputs:
        raise Invalid("`inputs` cannot be empty")
    if asked.truncate is not None and not 0 < asked.truncate <= limits.max_input_tokens:
        raise Invalid(
            f"`truncate` must be strictly positive and less than {limits.max_input_tokens}. "
            f"Given: {asked.truncate}"
        )


def check_streaming(asked: Parameters) -> None:
    """What cannot be streamed; these come before every other rule."""
    if asked.best_of not in {None, 1}:
        raise Invalid("`best_of` != 1 is not supported when streaming tokens")
    if asked.decoder_input_details:
        raise Invalid("`decoder_input_details` == true is not supported when streaming tokens")


def check_best_of(asked: Parameters, limits: Limits) -> None:
    """The bounds of `best_of`, which come first where the answer is sent whole."""
    best_of = 1 if asked.best_of is None else asked.best_of
    if limits.max_best_of == 1 and best_of != 1:
        raise Invalid("`best_of` != 1 is not allowed for this endpoint")
    if not 0 < best_of <= limits.max_best_of:
        raise Invalid(f"`best_of` must be > 0 and <= {limits.max_best_of}. Given: {best_of}")


def check_token_counts(prompt_tokens: int, max_new_tokens: int, limits: Limits) -> None:
    """The total is looked at before the prompt alone."""
    if prompt_tokens + max_new_tokens > limits.max_total_tokens:
        raise Invalid(
            f"`inputs` tokens + `max_new_tokens` must be <= {limits.max_total_tokens}. "
            f"Given: {prompt_tokens} `inputs` tokens and {max_new_tokens} `max_new_tokens`"
        )
    if prompt_tokens > limits.max_input_tokens:
        raise Invalid(
            f"`inputs` must have less than {limits.max_input_tokens} tokens. Given: {prompt_tokens}"
        )


def sampling(asked: Parameters, terms: Terms) -> Sampling:
    """Call `check` first. An unknown adapter means the base model, as in TGI."""
    if (asked.best_of or 1) > 1:
        raise Unsupported("best_of", "nearstream", "send the request several times")
    return Sampling(
        do_sample=asked.do_sample or _warps(asked),
        temperature=asked.temperature,
        top_k=asked.top_k,
        top_p=asked.top_p,
        typical_p=asked.typical_p,
        repetition_penalty=asked.repetition_penalty,
        frequency_penalty=asked.frequency_penalty,
        seed=asked.seed,
        top_n_tokens=0 if chosen_is_top(asked) else asked.top_n_tokens or 0,
        prefill_logprobs=asked.decoder_input_details,
        grammar=grammar(asked.grammar),
        watermark=asked.watermark,
        adapter=asked.adapter_id if asked.adapter_id in terms.adapters else None,
    )


def chosen_is_top(asked: Parameters) -> bool:
    """One alternative beside plain greedy search is the chosen token itself: no engine need be asked."""
    penalised = asked.repetition_penalty not in {None, 1.0} or asked.frequency_penalty not in {None, 0.0}
    return asked.top_n_tokens == 1 and not (asked.do_sample or _warps(asked) or penalised or asked.grammar)


def grammar(document: dict[str, Any] | None) -> Grammar | None:
    """`{type, value}`. A schema may come as an object, as JSON text, or wrapped as `{name, schema}`."""
    if document is None:
        return None
    kind, value = document.get("type"), document.get("value")
    if kind == "regex" and isinstance(value, str):
        return Grammar("regex", value)
    if kind not in SCHEMA_KINDS:
        raise Invalid(f"grammar is not valid: unknown type {kind!r}")
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise Invalid(f"grammar is not valid: {error}") from error
    if kind == "json_schema" and isinstance(value, dict) and "schema" in value:
        value = value["schema"]
    if not isinstance(value, dict):
        raise Invalid("grammar is not valid: a JSON schema is an object")
    return Grammar("json_schema", msgspec.json.encode(value).decode())


def _warps(asked: Parameters) -> bool:
    """An option that only makes sense when sampling turns sampling on."""
    chosen = asked.top_k, asked.top_p, asked.typical_p
    return asked.temperature not in {None, 1.0} or any(value is not None for value in chosen)


def _rules(asked: Parameters, limits: Limits) -> Iterator[tuple[bool, str]]:
    several = (asked.best_of or 1) > 1
    sampled = asked.do_sample or asked.temperature is not None or _warps(asked)
    yield several and not sampled, "you must use sampling when `best_of` is > 1"
    yield _not_positive(asked.temperature), "`temperature` must be strictly positive"
    yield _not_positive(asked.repetition_penalty), "`repetition_penalty` must be strictly positive"
    yield not _within_two(asked.frequency_penalty), "`frequency_penalty` must be >= -2.0 and <= 2.0"
    yield not _share(asked.top_p), "`top_p` must be > 0.0 and < 1.0"
    yield not _share(asked.typical_p), "`typical_p` must be > 0.0 and < 1.0"
    yield _not_positive(asked.top_k), "`top_k` must be strictly positive"
    yield asked.max_new_tokens == 0, "`max_new_tokens` must be strictly positive"
    stops, most = len(asked.stop), limits.max_stop_sequences
    yield stops > most, f"`stop` supports up to {most} stop sequences. Given: {stops}"
    yield several and asked.seed is not None, "`seed` must not be set when `best_of` > 1"
    yield (asked.seed or 0) >= 2**64, "`seed` must fit in 64 bits"
    top, most = asked.top_n_tokens or 0, limits.max_top_n_tokens
    yield top > most, f"`top_n_tokens` must be >= 0 and <= {most}. Given: {top}"


def _not_positive(value: float | None) -> bool:
    return value is not None and value <= 0


def _within_two(value: float | None) -> bool:
    return value is None or -2 <= value <= 2  # noqa: PLR2004 - the API's bounds


def _share(value: float | None) -> bool:
    return value is None or 0 < value < 1
