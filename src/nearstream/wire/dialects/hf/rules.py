"""TGI's rules on generation parameters: its order, its words; and the Sampling that follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nearstream.core.errors import Invalid
from nearstream.core.generation import GenerationRequest, Sampling
from nearstream.core.ports import Settled
from nearstream.wire.dialects.grammars import grammar
from nearstream.wire.dialects.hf.parameters import Parameters
from nearstream.wire.dialects.hf.terms import Terms
from nearstream.wire.dialects.limits import Limits


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


def settle(request: GenerationRequest, asked: Parameters, terms: Terms, *, prompt_tokens: int) -> Settled:
    """The rules that come after the prompt's tokens are counted: of the total, of the prompt, of the grammar.

    A length that is not asked for fills the context. One that passes only because the release does not count
    all of it (validate_input in TGI's router/src/validation.rs) ends where the context does.
    """
    if not prompt_tokens:
        raise Invalid("`inputs` cannot be empty")
    limits, most = terms.limits, terms.release.counted_new_tokens
    room = max(limits.max_total_tokens - prompt_tokens, 0)
    wanted = room if request.max_new_tokens is None else request.max_new_tokens
    counted = wanted if most is None else min(wanted, most)
    if prompt_tokens + counted > limits.max_total_tokens:
        raise Invalid(
            f"`inputs` tokens + `max_new_tokens` must be <= {limits.max_total_tokens}. "
            f"Given: {prompt_tokens} `inputs` tokens and {counted} `max_new_tokens`"
        )
    if prompt_tokens > limits.max_input_tokens:
        raise Invalid(
            f"`inputs` must have less than {limits.max_input_tokens} tokens. Given: {prompt_tokens}"
        )
    return Settled(min(wanted, room), replace(request.sampling, grammar=grammar(asked.grammar)))


def sampling(asked: Parameters, terms: Terms) -> Sampling:
    """Call `check` first. An unknown adapter means the base model, as in TGI. The grammar is for `settle`."""
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
        watermark=asked.watermark,
        adapter=asked.adapter_id if asked.adapter_id and asked.adapter_id in terms.adapters else None,
    )


def chosen_is_top(asked: Parameters) -> bool:
    """One alternative beside plain greedy search is the chosen token itself: no engine need be asked."""
    penalised = asked.repetition_penalty not in {None, 1.0} or asked.frequency_penalty not in {None, 0.0}
    return asked.top_n_tokens == 1 and not (asked.do_sample or _warps(asked) or penalised or asked.grammar)


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
