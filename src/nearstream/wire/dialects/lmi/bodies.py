"""The body of LMI's generate calls, `{inputs, parameters, stream}`, and what its parameters mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

import msgspec

from nearstream.core.errors import Invalid, Unsupported
from nearstream.core.generation import Grammar, Sampling
from nearstream.wire.dialects.grammars import grammar
from nearstream.wire.dialects.json_bodies import Count, Seed, Signed
from nearstream.wire.dialects.lmi.terms import Formatter, LmiTerms

DEFAULT_MAX_NEW_TOKENS = 30
OFF_TOP_K = (-1, 0)
PENALTY_BOUND = 2.0
_META = frozenset(r"\.^$*+?()[]{}|/-")
FORMATTERS: tuple[str, ...] = get_args(Formatter)


class LmiParameters(msgspec.Struct, frozen=True, kw_only=True):
    """As sent. Null means the default."""

    do_sample: bool | None = None
    seed: Seed | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_k: Signed | None = None
    top_p: float | None = None
    typical_p: float | None = None
    max_new_tokens: Count | None = None
    stop: str | list[str] | None = None
    stop_sequences: str | list[str] | None = None
    truncate: Count | None = None
    details: bool | None = None
    return_full_text: bool | None = None
    decoder_input_details: bool | None = None
    top_n_tokens: Count | None = None
    output_formatter: str | None = None
    ignore_eos_token: bool | None = None
    guided_json: str | dict[str, Any] | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    # What no engine here does; see `_LACKING`.
    watermark: Any = None
    best_of: Any = None
    n: Any = None
    num_beams: Any = None
    beam_width: Any = None
    use_beam_search: Any = None
    length_penalty: Any = None
    no_repeat_ngram_size: Any = None
    min_length: Any = None
    min_new_tokens: Any = None
    min_tokens: Any = None
    min_p: Any = None
    penalty_alpha: Any = None
    logits_processor: Any = None
    guided_grammar: Any = None
    cached_prompt: Any = None
    manual_seed: Any = None


class LmiBody(msgspec.Struct, frozen=True, kw_only=True):
    """`inputs` is a text, or several that are answered together."""

    inputs: str | list[str]
    parameters: LmiParameters | None = None
    stream: bool | None = None
    adapters: str | list[str] | None = None


# The values beside null and false that ask for nothing.
_LACKING: dict[str, tuple[object, ...]] = {
    "watermark": (),
    "best_of": (1,),
    "n": (1,),
    "num_beams": (1,),
    "beam_width": (1,),
    "use_beam_search": (),
    "length_penalty": (0, 1),
    "no_repeat_ngram_size": (0,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "min_tokens": (0,),
    "min_p": (0,),
    "penalty_alpha": (0,),
    "logits_processor": (),
    "guided_grammar": (),
    "cached_prompt": (),
    "manual_seed": (),
}


def check(parameters: LmiParameters) -> None:
    """Raises Invalid with the first rule that is broken, Unsupported for what could only be ignored."""
    for broken, message in _rules(parameters):
        if broken:
            raise Invalid(message)
    for option, nothing in _LACKING.items():
        value = getattr(parameters, option)
        if value is not None and value is not False and value not in nothing:
            raise Unsupported(option, "nearstream")


def sampling(parameters: LmiParameters, terms: LmiTerms, adapter: str | None) -> Sampling:
    """Call `check` first. What asks for nothing (top_k 0, top_p 1) is not handed on."""
    greedy = not _samples(parameters, by_request_only=terms.release.samples_when_asked)
    return Sampling(
        do_sample=not greedy,
        temperature=None if greedy else parameters.temperature,
        top_k=None if greedy or parameters.top_k in OFF_TOP_K else parameters.top_k,
        top_p=None if greedy or parameters.top_p == 1 else parameters.top_p,
        typical_p=None if greedy or parameters.typical_p == 1 else parameters.typical_p,
        repetition_penalty=parameters.repetition_penalty,
        frequency_penalty=parameters.frequency_penalty,
        presence_penalty=parameters.presence_penalty,
        seed=parameters.seed,
        top_n_tokens=_alternatives(parameters, terms),
        prefill_logprobs=bool(parameters.decoder_input_details),
        adapter=adapter,
        ignore_eos=bool(parameters.ignore_eos_token),
        grammar=_guided(parameters),
    )


def _guided(parameters: LmiParameters) -> Grammar | None:
    """What vLLM's guided decoding holds an answer to. Raises Invalid."""
    given: list[dict[str, Any]] = []
    if parameters.guided_json is not None:
        given.append({"type": "json", "value": parameters.guided_json})
    if parameters.guided_regex is not None:
        given.append({"type": "regex", "value": parameters.guided_regex})
    if parameters.guided_choice is not None:
        given.append({"type": "regex", "value": "|".join(map(_literal, parameters.guided_choice))})
    if len(given) > 1:
        raise Invalid("only one of `guided_json`, `guided_regex`, `guided_choice` may be set")
    return grammar(given[0]) if given else None


def _literal(text: str) -> str:
    """A pattern that matches this text alone: `re.escape` would escape what needs none elsewhere."""
    return "".join(f"\\{character}" if character in _META else character for character in text)


def stops(parameters: LmiParameters) -> tuple[str, ...]:
    """`stop` and `stop_sequences` are two names of one thing; empty ones end nothing."""
    given = (*_listed(parameters.stop), *_listed(parameters.stop_sequences))
    return tuple(dict.fromkeys(text for text in given if text))


def adapters(body: LmiBody, terms: LmiTerms, *, count: int) -> Sequence[str | None]:
    """One for each input; "" is the base model. Raises Invalid for an unknown one."""
    named = _listed(body.adapters)
    for name in named:
        if name and name not in terms.tgi.adapters:
            raise Invalid(f"Adapter {name} is not registered")
    if not named:
        return (None,) * count
    if isinstance(body.adapters, str):
        named *= count
    if len(named) != count:
        raise Invalid("Number of adapters is not equal to the number of inputs")
    return tuple(name or None for name in named)


def _samples(parameters: LmiParameters, *, by_request_only: bool) -> bool:
    if parameters.temperature == 0:
        return False
    if by_request_only or parameters.do_sample is not None:
        return bool(parameters.do_sample)
    warps = (
        parameters.top_k not in {None, *OFF_TOP_K},
        parameters.top_p not in {None, 1},
        parameters.typical_p not in {None, 1},
    )
    return parameters.temperature is not None or any(warps)


def _alternatives(parameters: LmiParameters, terms: LmiTerms) -> int:
    """Since 0.35 this is the number of answers, of which one is no wish."""
    wanted = parameters.top_n_tokens or 0
    return 0 if terms.release.by_body and wanted == 1 else wanted


def _listed(given: str | list[str] | None) -> list[str]:
    return [given] if isinstance(given, str) else given or []


def _rules(parameters: LmiParameters) -> Iterator[tuple[bool, str]]:
    yield (parameters.temperature or 0) < 0, "`temperature` must not be negative"
    yield _not_positive(parameters.repetition_penalty), "`repetition_penalty` must be strictly positive"
    for name in ("frequency_penalty", "presence_penalty"):
        yield abs(getattr(parameters, name) or 0) > PENALTY_BOUND, f"`{name}` must be >= -2.0 and <= 2.0"
    yield (parameters.top_k or 0) < -1, "`top_k` must be positive, or 0 or -1 for all tokens"
    yield not _share(parameters.top_p), "`top_p` must be > 0.0 and <= 1.0"
    yield not _share(parameters.typical_p), "`typical_p` must be > 0.0 and <= 1.0"
    yield parameters.max_new_tokens == 0, "`max_new_tokens` must be strictly positive"
    yield parameters.truncate == 0, "`truncate` must be strictly positive"
    yield (parameters.seed or 0) >= 2**64, "`seed` must fit in 64 bits"
    unknown = parameters.output_formatter not in {None, *FORMATTERS}
    yield unknown, f"`output_formatter` must be one of {', '.join(FORMATTERS)}"


def _not_positive(value: float | None) -> bool:
    return value is not None and value <= 0


def _share(value: float | None) -> bool:
    return value is None or 0 < value <= 1
