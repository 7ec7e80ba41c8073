"""What a batch does after a step that raised: which request is to blame, how the others go on.

OpenVINO compiles a grammar within the step that first uses it; one that it cannot compile breaks that step
for all. So a grammar that has not made a token yet is a suspect. Several suspects are tried again one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nearstream.engines.openvino.frames import Ending, Failure, Options
from nearstream.engines.openvino.handles import Output
from nearstream.engines.openvino.search import Search
from nearstream.engines.openvino.settings import KV_BLOCK_TOKENS

if TYPE_CHECKING:
    import numpy.typing as npt


class Request:
    """One request and the tokens made for it so far."""

    __slots__ = ("_again", "_echo", "_made", "_prompt", "_prompt_told", "id", "options", "search")

    def __init__(self, request_id: int, prompt: npt.NDArray[np.int64], options: Options) -> None:
        self.id = request_id
        self._prompt = prompt
        self.options = options
        self._made: list[int] = []
        self._again = 0
        """Of the tokens made, how many a second run has yet to make again."""
        self._echo = False
        """Whether OpenVINO is about to repeat the prompt before the first token of a run."""
        self._prompt_told = False
        self.search = Search(options) if options.typical_p < 1 else None
        """For its next token; None where OpenVINO chooses itself."""

    def take(self, token_ids: Sequence[int]) -> int:
        """Count tokens that OpenVINO made; how many of the first were sent before.

        Raises ValueError where a second run makes other tokens than the first.
        """
        known = min(self._again, len(token_ids))
        if known:
            start = len(self._made) - self._again
            if self._made[start : start + known] != list(token_ids[:known]):
                raise ValueError("it could not be continued after another request's grammar broke the step")
            self._again -= known
        self._made += token_ids[known:]
        return known

    def without_echo(self, output: Output) -> tuple[Sequence[int], Sequence[float], tuple[float, ...]]:
        """What a run made, and the log-probabilities of the prompt's tokens from the second on where OpenVINO
        repeats them before it. The value that it gives for the first is none."""
        token_ids, logprobs = output.generated_ids, output.generated_log_probs
        if not self._echo or not token_ids:
            return token_ids, logprobs, ()
        self._echo, size = False, len(self._prompt)
        of_prompt = () if self._prompt_told else tuple(logprobs[1:size])
        self._prompt_told = True
        return token_ids[size:], logprobs[size:], of_prompt

    @property
    def tokens(self) -> npt.NDArray[np.int64]:
        """The prompt and what was made."""
        if not self._made:
            return self._prompt
        return np.concatenate([self._prompt, np.asarray(self._made, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self._prompt) + len(self._made)

    def continues(self, other: Request) -> bool:
        """Whether it goes on from what `other` has in the cache, whose last block it would be given.

        See `branches`. The last token of `other` may be read in by now or not.
        """
        return any(self._begins(other, length) for length in (len(other) - 1, len(other)))

    def _begins(self, other: Request, length: int) -> bool:
        """Whether the first tokens are those of `other`, and they end inside a block."""
        if not 0 < length < len(self) or not length % KV_BLOCK_TOKENS:
            return False
        same_end = self._at(length - 1) == other._at(length - 1)
        return same_end and np.array_equal(self.tokens[:length], other.tokens[:length])

    def _at(self, place: int) -> int:
        prompt = self._prompt
        return int(prompt[place]) if place < len(prompt) else self._made[place - len(prompt)]

    @property
    def begun(self) -> bool:
        """Whether a token has been made."""
        return bool(self._made)

    @property
    def made(self) -> int:
        """How many tokens have been made."""
        return len(self._made)

    @property
    def ending(self) -> Ending | None:
        """Why the last token made is the last one, for a run that makes one token at a time."""
        if self._made[-1] in self.options.stop_token_ids:
            return "eos"
        return "length" if self.made >= self.options.max_new_tokens else None

    @property
    def grammar(self) -> str | None:
        """What rules the output."""
        return self.options.grammar

    @property
    def constrained(self) -> bool:
        """Whether a grammar rules the output."""
        return self.grammar is not None

    @property
    def suspect(self) -> bool:
        """Whether its grammar may be one that OpenVINO cannot compile."""
        return self.constrained and not self._made

    def next_run(self) -> tuple[npt.NDArray[np.int64], Options]:
        """The prompt and the options that carry on from here.

        The state of a grammar cannot be carried on, so such a request runs again from its beginning.
        """
        if self.constrained or not self._made:
            self._again = len(self._made)
            self._echo = self.options.prompt_logprobs
            return self._prompt, self.options
        made = len(self._made)
        options = msgspec.structs.replace(
            self.options,
            prompt_logprobs=False,
            min_new_tokens=max(self.options.min_new_tokens - made, 0),
            max_new_tokens=self.options.max_new_tokens - made,
            seed=(self.options.seed + made) % (1 << 64),
        )
        return self.tokens, options


@dataclass(frozen=True, slots=True)
class Split:
    """Who goes on now, who is tried alone, who has failed."""

    resumed: tuple[Request, ...]
    suspects: tuple[Request, ...]
    failures: tuple[Failure, ...]
    blamed: Request | None = None


def split_after_fault(requests: Iterable[Request], reason: str) -> Split:
    """Blame the one suspect; try several one by one; without any, the fault is everyone's."""
    held = tuple(requests)
    suspects = tuple(request for request in held if request.suspect)
    innocent = tuple(request for request in held if not request.suspect)
    if not suspects:
        return Split((), (), tuple(Failure(request.id, "failed", reason) for request in held))
    if len(suspects) > 1:
        return Split(innocent, suspects, ())
    blamed = suspects[0]
    failure = Failure(blamed.id, "invalid", f"the grammar cannot be used: {reason}")
    return Split(innocent, (), (failure,), blamed)


def reason_of(error: Exception) -> str:
    """The message of an OpenVINO error, without the source lines of its build."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    messages = [line for line in lines if not line.startswith(("Check ", "Exception from "))] or lines
    text = messages[-1] if messages else type(error).__name__
    if text.startswith("[") and "] /" in text:
        text = text.split(": ", 1)[-1]
    return text
