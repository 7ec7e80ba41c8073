"""What sampling leaves to draw from, written out as Hugging Face's processors and warpers have it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from nearstream.engines.openvino.frames import Options

ROUNDING = 1e-9


def penalised(logits: Mapping[int, float], seen: Collection[int], penalty: float) -> dict[int, float]:
    """RepetitionPenaltyLogitsProcessor."""
    return {
        token: logit if token not in seen else logit / penalty if logit > 0 else logit * penalty
        for token, logit in logits.items()
    }


def warped(logits: Mapping[int, float], options: Options) -> dict[int, float]:
    """What may be drawn and how likely: TemperatureLogitsWarper, TopK-, TopP- and TypicalLogitsWarper."""
    scores = {token: logit / options.temperature for token, logit in logits.items()}
    rising = sorted(scores, key=lambda token: (scores[token], -token))
    scores = {token: scores[token] for token in rising[-options.top_k :]}
    shares, below = softmax(scores), 0.0
    for token in list(scores)[:-1]:
        below += shares[token]
        if below <= 1 - options.top_p:
            del scores[token]
    shares = softmax(scores)
    entropy = -sum(share * math.log(share) for share in shares.values() if share)
    shift = {token: abs(-math.log(share) - entropy) if share else math.inf for token, share in shares.items()}
    nearest, sum_so_far, last = sorted(shares, key=lambda token: shift[token]), 0.0, 0
    for token in nearest:
        sum_so_far += shares[token]
        last += sum_so_far < options.typical_p
    limit = shift[nearest[min(last, len(nearest) - 1)]] + ROUNDING
    return softmax({token: scores[token] for token in nearest if shift[token] <= limit})


def softmax(scores: Mapping[int, float]) -> dict[int, float]:
    highest = max(scores.values())
    weights = {token: math.exp(score - highest) for token, score in scores.items()}
    total = math.fsum(weights.values())
    return {token: weight / total for token, weight in weights.items()}
