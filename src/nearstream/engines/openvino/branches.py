"""Keeps apart requests that branch from one cached history, which OpenVINO would let write over each other.

The cache of past tokens comes in blocks. Where a history ends inside a block, every request that continues
it is given that block as it is; two that continue it differently in the same step both write into it, and
their answers are wrong (OpenVINO GenAI 2026.4.1: 24 of 25 such pairs). One that comes when the other has its
first token gets a block of its own. So it waits for that. The same goes for one that continues what another
is generating at this moment.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING

from nearstream.engines.openvino.settings import KV_BLOCK_TOKENS

if TYPE_CHECKING:
    import numpy.typing as npt
    from numpy import int64

ENDS_KEPT = 2048
_End = tuple[int, int]
"""How many tokens, and their checksum: two that are alike by chance only make one wait."""


class Branches:
    """The ends of histories that may be in the cache, `kept` of them, and who is about to continue them."""

    def __init__(self, *, kept: int = ENDS_KEPT) -> None:
        self._kept = kept
        self._ends: OrderedDict[_End, None] = OrderedDict()
        self._pauses: dict[int, _End] = {}
        self._claims: dict[_End, int] = {}

    def claim(self, request_id: int, tokens: npt.NDArray[int64], *, prompt_tokens: int | None = None) -> bool:
        """Whether a request that begins with `tokens` may join now; others then wait until its `release`.

        Those that go on in runs are distinguished by their prompts alone, so many tokens: with the same one
        they take turns.
        """
        # A request that goes on from a run of its own has a block that is past what it once shared.
        own, _ = self._pauses.get(request_id, (0, 0))
        continued = [end for end in self._continued(tokens) if end[0] >= own]
        if prompt_tokens is not None:
            continued.append(_end(tokens, prompt_tokens))
        if any(self._claims.get(end, request_id) != request_id for end in continued):
            return False
        for end in continued:
            self._claims[end] = request_id
        return True

    def release(self, request_id: int) -> None:
        """It has a token, or is gone."""
        if not self._claims:  # as for almost every token
            return
        for end in [end for end, holder in self._claims.items() if holder == request_id]:
            del self._claims[end]

    def paused(self, request_id: int, tokens: npt.NDArray[int64]) -> None:
        """Its tokens are in the cache, and it is about to go on in another run."""
        self._pauses[request_id] = _end(tokens, len(tokens))

    def ended(self, request_id: int, tokens: npt.NDArray[int64]) -> None:
        """It is over. Its last token may not have been read in: the cache ends before or after it."""
        self._pauses.pop(request_id, None)
        for length in {len(tokens), len(tokens) - 1}:
            if length > 0 and length % KV_BLOCK_TOKENS:
                end = _end(tokens, length)
                self._ends[end] = None
                self._ends.move_to_end(end)
        while len(self._ends) > self._kept:
            self._ends.popitem(last=False)

    def _continued(self, tokens: npt.NDArray[int64]) -> list[_End]:
        """The known ends that `tokens` begin with."""
        known = self._ends.keys() | set(self._pauses.values())
        data, checksum, before, found = memoryview(tokens.tobytes()), 0, 0, []
        for length in sorted({length for length, _ in known if length <= len(tokens)}):
            checksum = zlib.crc32(data[before * tokens.itemsize : length * tokens.itemsize], checksum)
            before = length
            if (length, checksum) in known:
                found.append((length, checksum))
        return found


def _end(tokens: npt.NDArray[int64], length: int) -> _End:
    return length, zlib.crc32(tokens[:length].tobytes())
