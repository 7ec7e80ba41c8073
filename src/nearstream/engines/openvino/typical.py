"""Typical decoding (`typical_p`) for a request that OpenVINO takes one token forward at a time.

OpenVINO GenAI samples by top_k and top_p alone and lets nobody into its sampler. But a beam search of one
token, as wide as top_k, tells the likeliest tokens with their log-probabilities: all that is left to choose
from once top_k is applied. The order is TGI's: temperature, top_k, top_p, typical_p.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nearstream.engines.openvino.frames import Options

if TYPE_CHECKING:
    import numpy.typing as npt

WIDEST = 64
"""The largest top_k: the beam search takes longer the wider it is."""


def chosen(logprobs: Mapping[int, float], options: Options, *, position: int) -> int:
    """One of the tokens in `logprobs`, the top_k likeliest with the model's own log-probabilities.

    The same seed and position choose alike, whatever was chosen before.
    """
    ids = sorted(logprobs, key=lambda token: (-logprobs[token], token))
    scaled = np.array([logprobs[token] for token in ids], dtype=np.float64) / options.temperature
    probabilities = _normalised(np.exp(scaled - scaled[0]))
    probabilities = _nucleus(probabilities, options.top_p)
    probabilities = _typical(probabilities, options.typical_p)
    kept = np.flatnonzero(probabilities)
    luck = np.random.default_rng((options.seed, position)).random()
    drawn = np.searchsorted(np.cumsum(probabilities[kept]), luck, side="right")
    return ids[int(kept[min(int(drawn), len(kept) - 1)])]


def _normalised(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return weights / weights.sum()


def _nucleus(probabilities: npt.NDArray[np.float64], top_p: float) -> npt.NDArray[np.float64]:
    """The likeliest, which come first, until their sum is `top_p`."""
    before = np.cumsum(probabilities) - probabilities
    return _normalised(np.where(before < top_p, probabilities, 0.0))


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
