"""The body of LMI's generate calls, `{inputs, parameters, stream}`, and what its parameters mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

import msgspec

from nearstream.core.errors import Invalid, Unsupported
from nearstream.core.generation import Grammar, Sampling
from nearstream.wire.dialects.grammars import grammar
from nearstream.wire.dialects.json_bodies import Count, Seed, Signed
from nearstream.wire.dialects.lmi.stopping import Visible
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
    logit_bias: dict[int, float] | None = None
    # vLLM's names, which its containers hand on.
    ignore_eos: bool | None = None
    max_tokens: Count | None = None
    echo: bool | None = None
    truncate_prompt_tokens: Signed | None = None
    stop_token_ids: list[Count] | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
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
    logprobs: Any = None
    prompt_logprobs: Any = None
    early_stopping: Any = None
    bad_sequences: Any = None
    bad_words: Any = None
    allowed_token_ids: Any = None
    suffix: Any = None
    detokenize: Any = None
    add_special_tokens: Any = None
    logits_processors: Any = None
    response_format: Any = None
    structured_outputs: Any = None
    random_seed: Any = None
    priority: Any = None


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
    "min_length": (0, 1),
    "min_new_tokens": (0,),
    "min_tokens": (0,),
    "min_p": (0,),
    "penalty_alpha": (0,),
    "logits_processor": (),
    "guided_grammar": (),
    "cached_prompt": (),
    "manual_seed": (),
    # The chosen token's is in every answer that has tokens; LMI's answers have no place for others.
    "logprobs": (0, 1, True),
    "prompt_logprobs": (),
    "early_stopping": (),
    "bad_sequences": ([],),
    "bad_words": ([],),
    "allowed_token_ids": (),
    "suffix": ("",),
    "detokenize": (True,),
    "add_special_tokens": (True,),
    "logits_processors": ([],),
    "response_format": ({"type": "text"},),
    "structured_outputs": (),
    "random_seed": (),
    "priority": (0,),
}
# Of these, false asks for something.
_SWITCHED_OFF = ("detokenize", "add_special_tokens")
BIAS_BOUND = 100.0


def check(parameters: LmiParameters) -> None:
    """Raises Invalid with the first rule that is broken, Unsupported for what could only be ignored."""
    for broken, message in _rules(parameters):
        if broken:
            raise Invalid(message)
    for option, nothing in _LACKING.items():
        value = getattr(parameters, option)
        off = value is False and option not in _SWITCHED_OFF
        if value is not None and not off and value not in nothing:
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
        logit_bias=tuple((token, bias) for token, bias in (parameters.logit_bias or {}).items() if bias),
        ignore_eos=bool(parameters.ignore_eos_token or parameters.ignore_eos),
        stop_token_ids=frozenset(parameters.stop_token_ids or ()),
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


def max_new_tokens(parameters: LmiParameters, terms: LmiTerms) -> int:
    """Of two names, vLLM's counts where its own API reads the body."""
    given = [parameters.max_new_tokens, parameters.max_tokens]
    if terms.release.by_body:
        given.reverse()
    return next((count for count in given if count is not None), DEFAULT_MAX_NEW_TOKENS)


def truncate(parameters: LmiParameters) -> int | None:
    """How many of the prompt's last tokens are read; None for all of them."""
    given = parameters.truncate_prompt_tokens
    return parameters.truncate if given in {None, -1} else given


def visible(parameters: LmiParameters, terms: LmiTerms) -> Visible:
    """Stop strings are cut from the text since 0.35, and before where that is asked for."""
    keeps = parameters.include_stop_str_in_output
    trims = not keeps if keeps is not None else terms.release.by_body
    return Visible(
        trimmed=stops(parameters) if trims else (),
        special=parameters.skip_special_tokens is False,
        ending=bool(keeps),
    )


def adapters(given: str | list[str] | None, terms: LmiTerms, *, count: int) -> Sequence[str | None]:
    """One for each input; "" is the base model. Raises Invalid for an unknown one."""
    named = _listed(given)
    for name in named:
        if name and name not in terms.tgi.adapters:
            raise Invalid(f"Adapter {name} is not registered")
    if not named:
        return (None,) * count
    if isinstance(given, str):
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
    yield parameters.max_tokens == 0, "`max_tokens` must be strictly positive"
    yield parameters.truncate == 0, "`truncate` must be strictly positive"
    kept = parameters.truncate_prompt_tokens
    yield kept is not None and (kept == 0 or kept < -1), "`truncate_prompt_tokens` must be positive, or -1"
    biases = parameters.logit_bias or {}
    yield any(token < 0 for token in biases), "`logit_bias` must name token ids"
    beyond = any(abs(bias) > BIAS_BOUND for bias in biases.values())
    yield beyond, "`logit_bias` must be >= -100.0 and <= 100.0"
    yield (parameters.seed or 0) >= 2**64, "`seed` must fit in 64 bits"
    unknown = parameters.output_formatter not in {None, *FORMATTERS}
    yield unknown, f"`output_formatter` must be one of {', '.join(FORMATTERS)}"


def _not_positive(value: float | None) -> bool:
    return value is not None and value <= 0


def _share(value: float | None) -> bool:
    return value is None or 0 < value <= 1
