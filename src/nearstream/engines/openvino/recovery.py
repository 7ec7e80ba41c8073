"""What a batch does after a step that raised: which requests are to blame, which go on where they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nearstream.engines.openvino.frames import Failure, Options

if TYPE_CHECKING:
    import numpy.typing as npt


class Request:
    """One request and the tokens made for it so far."""

    __slots__ = ("_made", "_options", "_prompt", "id")

    def __init__(self, request_id: int, prompt: npt.NDArray[np.int64], options: Options) -> None:
        self.id = request_id
        self._prompt = prompt
        self._options = options
        self._made: list[int] = []

    def made(self, token_ids: Sequence[int]) -> None:
        """Count tokens that OpenVINO made."""
        self._made += token_ids

    @property
    def started(self) -> bool:
        """Whether a token has been made."""
        return bool(self._made)

    @property
    def constrained(self) -> bool:
        """Whether a grammar rules the output."""
        return self._options.json_schema is not None or self._options.regex is not None

    @property
    def tokens(self) -> npt.NDArray[np.int64]:
        """The prompt and what was made: the prompt of a run that goes on from here."""
        if not self._made:
            return self._prompt
        return np.concatenate([self._prompt, np.asarray(self._made, dtype=np.int64)])

    @property
    def remaining(self) -> Options:
        """The options of a run that goes on from here."""
        made = len(self._made)
        if not made:
            return self._options
        return msgspec.structs.replace(
            self._options,
            max_new_tokens=self._options.max_new_tokens - made,
            seed=(self._options.seed + made) % (1 << 64),
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Who goes on and who does not."""

    resumed: tuple[Request, ...]
    failures: tuple[Failure, ...]


def split_after_fault(requests: Iterable[Request], reason: str) -> Split:
    """Blame the grammars that have not made a token yet; without one, the fault is everyone's.

    OpenVINO compiles a grammar within the step that first uses it, and a grammar it cannot compile breaks
    that step for all. A grammar under way has a state that is lost, so its request fails too.
    """
    held = tuple(requests)
    suspects = tuple(r for r in held if r.constrained and not r.started)
    if not suspects:
        return Split((), tuple(Failure(r.id, "failed", reason) for r in held))
    failures = [Failure(r.id, "invalid", f"the grammar cannot be used: {reason}") for r in suspects]
    failures += [
        Failure(r.id, "failed", "its grammar's state was lost when another request's grammar broke the step")
        for r in held
        if r.constrained and r.started
    ]
    return Split(tuple(r for r in held if not r.constrained), tuple(failures))
