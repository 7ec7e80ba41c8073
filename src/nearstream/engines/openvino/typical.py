"""Typical decoding (`typical_p`) for a request that OpenVINO takes one token forward at a time.

OpenVINO GenAI samples by top_k and top_p alone and takes no other sampler. But it gives the model's
own log-probability of each token it draws, and draws often for the price of once. So the likeliest tokens are
found out: drawn from so many with a top_k, at a temperature that makes them about equally likely, until each
has come up. They are enough once they surely hold all that top_k and top_p leave to choose from; until then
more are found out. The order is TGI's: repetition_penalty, temperature, top_k, top_p, typical_p.

What it gives is the model's own, whatever the penalty. Where no log-probabilities are requested it gives
those of its own draw instead: of the penalised logits, divided by the temperature, among the top_k. So what
a penalty leaves is known in proportion only, and all of the top_k have to be found out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nearstream.engines.openvino.frames import Options

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_TOP_K = 256
"""The largest top_k where nothing else bounds the choice: a search takes longer the wider it is."""
SEARCH_TEMPERATURE = 50.0
"""Evens out the likeliest tokens, and still separates what differs in 16 bits."""
_WIDTHS = (32, 256, 2048)
UNKNOWN_VOCABULARY = 1 << 20
"""More tokens than models have: to think it larger than it is only makes the search wider."""
_EDGE = 1e-3
"""So much of the probability may be in tokens of which it stays open whether top_p leaves them: a model's
own shares are coarser, in 16 bits by hundredths of each."""


def penalised(options: Options) -> bool:
    """Whether a search is for the likeliest tokens that a penalty leaves; it needs a `top_k`."""
    return options.repetition_penalty != 1


def wider(options: Options, width: int = 0) -> int | None:
    """The width to search with after one of `width` did not do; None where there is none."""
    most = options.top_k or _WIDTHS[-1]
    if options.top_p == 1 or penalised(options):
        return most if width < most else None
    return next((min(step, most) for step in _WIDTHS if min(step, most) > width), None)


def draws(width: int) -> int:
    """How often to draw from `width` tokens so that hardly ever one is missed, though some are likelier."""
    return math.ceil(1.5 * width * (math.log(width) + 5))


def chosen(logprobs: Mapping[int, float], options: Options, *, position: int, vocabulary: int) -> int | None:
    """One of the tokens in `logprobs`, the likeliest ones of a `vocabulary`; None if others could be chosen.

    Where they are the whole top_k, all of them may be off by the same.
    The same seed and position choose alike, whatever was chosen before.
    """
    ids = sorted(logprobs, key=lambda token: (-logprobs[token], token))
    found = np.array([logprobs[token] for token in ids], dtype=np.float64)
    weights = np.exp((found - found[0]) / options.temperature)
    unseen = min(options.top_k or vocabulary, vocabulary) - len(ids)
    least, most = _unseen_weight(found, options, unseen) if unseen > 0 else (0.0, 0.0)
    kept, perhaps = (_nucleus(weights, rest, options.top_p) for rest in (least, most))
    if unseen > 0 and (perhaps == len(ids) or weights[kept:perhaps].sum() > _EDGE * weights.sum()):
        return None
    probabilities = _typical(_normalised(weights[:kept]), options.typical_p)
    left = np.flatnonzero(probabilities)
    drawn_at = np.random.default_rng((options.seed, position)).random()
    drawn = np.searchsorted(np.cumsum(probabilities[left]), drawn_at, side="right")
    return ids[int(left[min(int(drawn), len(left) - 1)])]


def _unseen_weight(found: npt.NDArray[np.float64], options: Options, unseen: int) -> tuple[float, float]:
    """At least and at most what the other tokens weigh, where the first of `found` weighs 1.

    Each has no more of the probability than the last of `found`, and together they have what is left of it.
    At a temperature of 1 or less that weighs most in few tokens, and least spread over all of them.
    """
    power, first = 1 / options.temperature, math.exp(found[0])
    last = math.exp(found[-1] - found[0])
    least, most = 0.0, unseen * last**power
    if power >= 1:
        rest = max(1 - float(np.sum(np.exp(found))), 0.0)
        most = min(most, rest / first * last ** (power - 1))
        if not options.top_k:
            least = unseen * min(rest / unseen / first, last) ** power
    return least, most


def _nucleus(weights: npt.NDArray[np.float64], unseen: float, top_p: float) -> int:
    """How many of the likeliest, which come first, it takes to make `top_p` of all."""
    before = np.cumsum(weights) - weights
    return int(np.sum(before < top_p * (float(np.sum(weights)) + unseen)))


def _normalised(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total: float = weights.sum()
    return weights / total


def _typical(probabilities: npt.NDArray[np.float64], mass: float) -> npt.NDArray[np.float64]:
    """Those whose information is nearest to what is to be expected, until their sum is `mass`."""
    surprise = np.full(probabilities.shape, np.inf)
    np.log(probabilities, out=surprise, where=probabilities > 0)
    surprise = np.where(probabilities > 0, -surprise, np.inf)
    expected = float(np.sum(probabilities[probabilities > 0] * surprise[probabilities > 0]))
    distance = np.abs(surprise - expected)
    nearest = np.argsort(distance, kind="stable")
    crossing = int(np.sum(np.cumsum(probabilities[nearest]) < mass))
    furthest = distance[nearest[min(crossing, len(nearest) - 1)]]
    return _normalised(np.where(distance <= furthest, probabilities, 0.0))
