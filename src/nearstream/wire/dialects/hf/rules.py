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


def check(parameters: Parameters, limits: Limits, *, inputs: str) -> None:
    """Raises Invalid with the first rule that is broken. Token counts are for later, when they are known."""
    for broken, message in _rules(parameters, limits):
        if broken:
            raise Invalid(message)
    if not inputs:
        raise Invalid("`inputs` cannot be empty")
    if parameters.truncate is not None and not 0 < parameters.truncate <= limits.max_input_tokens:
        raise Invalid(
            f"`truncate` must be strictly positive and less than {limits.max_input_tokens}. "
            f"Given: {parameters.truncate}"
        )


def check_streaming(parameters: Parameters) -> None:
    """What cannot be streamed; these come before every other rule."""
    if parameters.best_of not in {None, 1}:
        raise Invalid("`best_of` != 1 is not supported when streaming tokens")
    if parameters.decoder_input_details:
        raise Invalid("`decoder_input_details` == true is not supported when streaming tokens")


def check_best_of(parameters: Parameters, limits: Limits) -> None:
    """The bounds of `best_of`, which come first where the answer is sent whole."""
    best_of = 1 if parameters.best_of is None else parameters.best_of
    if limits.max_best_of == 1 and best_of != 1:
        raise Invalid("`best_of` != 1 is not allowed for this endpoint")
    if not 0 < best_of <= limits.max_best_of:
        raise Invalid(f"`best_of` must be > 0 and <= {limits.max_best_of}. Given: {best_of}")


def settle(
    request: GenerationRequest, parameters: Parameters, terms: Terms, *, prompt_tokens: int
) -> Settled:
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
    return Settled(min(wanted, room), replace(request.sampling, grammar=grammar(parameters.grammar)))


def sampling(parameters: Parameters, terms: Terms) -> Sampling:
    """Call `check` first. An unknown adapter means the base model, as in TGI. The grammar is for `settle`."""
    adapter = parameters.adapter_id
    return Sampling(
        do_sample=parameters.do_sample or _warps(parameters),
        temperature=parameters.temperature,
        top_k=parameters.top_k,
        top_p=parameters.top_p,
        typical_p=parameters.typical_p,
        repetition_penalty=parameters.repetition_penalty,
        frequency_penalty=parameters.frequency_penalty,
        seed=parameters.seed,
        top_n_tokens=0 if chosen_is_top(parameters) else parameters.top_n_tokens or 0,
        prefill_logprobs=parameters.decoder_input_details,
        watermark=parameters.watermark,
        ignore_eos=bool(parameters.ignore_eos or parameters.ignore_eos_token),
        adapter=adapter if adapter and adapter in terms.adapters else None,
    )


def chosen_is_top(parameters: Parameters) -> bool:
    """One alternative beside plain greedy search is the chosen token itself: no engine is asked for it."""
    repetition, frequency = parameters.repetition_penalty, parameters.frequency_penalty
    bent = repetition not in {None, 1.0} or frequency not in {None, 0.0} or parameters.grammar
    sampled = parameters.do_sample or _warps(parameters)
    return parameters.top_n_tokens == 1 and not (sampled or bent)


def _warps(parameters: Parameters) -> bool:
    """An option that only makes sense when sampling turns sampling on."""
    chosen = parameters.top_k, parameters.top_p, parameters.typical_p
    return parameters.temperature not in {None, 1.0} or any(value is not None for value in chosen)


def _rules(parameters: Parameters, limits: Limits) -> Iterator[tuple[bool, str]]:
    several = (parameters.best_of or 1) > 1
    sampled = parameters.do_sample or parameters.temperature is not None or _warps(parameters)
    yield several and not sampled, "you must use sampling when `best_of` is > 1"
    yield _not_positive(parameters.temperature), "`temperature` must be strictly positive"
    yield _not_positive(parameters.repetition_penalty), "`repetition_penalty` must be strictly positive"
    yield not _within_two(parameters.frequency_penalty), "`frequency_penalty` must be >= -2.0 and <= 2.0"
    yield not _share(parameters.top_p), "`top_p` must be > 0.0 and < 1.0"
    yield not _share(parameters.typical_p), "`typical_p` must be > 0.0 and < 1.0"
    yield _not_positive(parameters.top_k), "`top_k` must be strictly positive"
    yield parameters.max_new_tokens == 0, "`max_new_tokens` must be strictly positive"
    stops, most = len(parameters.stop), limits.max_stop_sequences
    yield stops > most, f"`stop` supports up to {most} stop sequences. Given: {stops}"
    yield several and parameters.seed is not None, "`seed` must not be set when `best_of` > 1"
    yield (parameters.seed or 0) >= 2**64, "`seed` must fit in 64 bits"
    top, most = parameters.top_n_tokens or 0, limits.max_top_n_tokens
    yield top > most, f"`top_n_tokens` must be >= 0 and <= {most}. Given: {top}"


def _not_positive(value: float | None) -> bool:
    return value is not None and value <= 0


def _within_two(value: float | None) -> bool:
    return value is None or -2 <= value <= 2  # noqa: PLR2004 - the API's bounds


def _share(value: float | None) -> bool:
    return value is None or 0 < value < 1
