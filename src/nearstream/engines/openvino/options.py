"""What of `Sampling` OpenVINO can do, as its options."""

from __future__ import annotations

from collections.abc import Callable

from nearstream.core.errors import Unsupported
from nearstream.core.generation import Sampling
from nearstream.engines.openvino.frames import Options
from nearstream.engines.openvino.typical import MOST_TOP_K

ENGINE = "OpenVINO"

_REFUSED: tuple[tuple[str, Callable[[Sampling], bool], str], ...] = (
    (
        "typical_p",
        lambda s: _typical(s) and not _few_candidates(s),
        f"give it a top_k of at most {MOST_TOP_K}, or a top_p and a temperature of at most 1",
    ),
    (
        "typical_p",
        lambda s: _typical(s) and _penalised(s) and not _few(s),
        f"beside a repetition_penalty give it a top_k of at most {MOST_TOP_K}",
    ),
    (
        "typical_p",
        lambda s: _typical(s) and (_counted(s) or s.grammar is not None or s.adapter is not None),
        "not beside frequency_penalty, presence_penalty, a grammar or an adapter; use top_p",
    ),
    ("top_n_tokens", lambda s: s.top_n_tokens > 1, "it computes the log-probability of one token only"),
    (
        "top_n_tokens",
        lambda s: s.top_n_tokens == 1 and s.do_sample,
        "it computes the log-probability of the chosen token only; use do_sample=false",
    ),
    ("prefill_logprobs", lambda s: s.prefill_logprobs and _typical(s), "not beside typical_p; use top_p"),
    ("min_p", lambda s: bool(s.min_p) and _typical(s), "not beside typical_p"),
    ("min_tokens", lambda s: bool(s.min_new_tokens) and _typical(s), "not beside typical_p"),
    (
        "min_tokens",
        lambda s: bool(s.min_new_tokens) and s.grammar is not None,
        "not beside a grammar, which says itself where an answer may end",
    ),
    ("logit_bias", lambda s: bool(s.logit_bias), ""),
    ("watermark", lambda s: s.watermark, ""),
)


def refuse_unsupported(sampling: Sampling, *, grammar: bool) -> None:
    """Raise Unsupported for the first requested option that OpenVINO lacks.

    `grammar`: whether the loaded model has what constrained output needs.
    """
    for option, requested, hint in _REFUSED:
        if requested(sampling):
            raise Unsupported(option, ENGINE, hint)
    if sampling.grammar is not None and not grammar:
        raise Unsupported("grammar", ENGINE, "the model folder has no openvino_tokenizer.xml")


def options_of(sampling: Sampling, *, max_new_tokens: int, seed: int, grammar: str | None = None) -> Options:
    """The worker's options; `seed` is for a request that brings none, `grammar` is the request's as EBNF."""
    return Options(
        max_new_tokens=max_new_tokens,
        stop_token_ids=tuple(sampling.stop_token_ids),
        do_sample=sampling.do_sample,
        temperature=_or(sampling.temperature, 1.0),
        top_k=sampling.top_k or 0,
        top_p=_or(sampling.top_p, 1.0),
        repetition_penalty=_or(sampling.repetition_penalty, 1.0),
        frequency_penalty=_or(sampling.frequency_penalty, 0.0),
        presence_penalty=_or(sampling.presence_penalty, 0.0),
        seed=sampling.seed if sampling.seed is not None else seed,
        grammar=grammar,
        typical_p=_or(sampling.typical_p, 1.0),
        prompt_logprobs=sampling.prefill_logprobs,
        min_p=_or(sampling.min_p, 0.0) if sampling.do_sample else 0.0,
        min_new_tokens=sampling.min_new_tokens,
    )


def _typical(sampling: Sampling) -> bool:
    return sampling.typical_p is not None and sampling.typical_p < 1


def _few_candidates(sampling: Sampling) -> bool:
    """Whether the tokens to choose from can be found by a search; see `typical`."""
    nucleus = _or(sampling.top_p, 1.0) < 1 and _or(sampling.temperature, 1.0) <= 1
    return sampling.do_sample and (nucleus or _few(sampling))


def _few(sampling: Sampling) -> bool:
    return 0 < (sampling.top_k or 0) <= MOST_TOP_K


def _penalised(sampling: Sampling) -> bool:
    return _or(sampling.repetition_penalty, 1.0) != 1


def _counted(sampling: Sampling) -> bool:
    """Whether a penalty counts the tokens made: OpenVINO loses count where it makes one at a time."""
    return any((sampling.frequency_penalty, sampling.presence_penalty))


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
