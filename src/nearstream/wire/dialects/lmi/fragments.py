"""What LMI's answers are put together from.

Of strings the bytes are those of Python's json with `ensure_ascii=False`, and so are the separators.
Keys come in DJL Serving's order.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import msgspec

from nearstream.core.generation import Finish, Token
from nearstream.wire.dialects.lmi.terms import LmiRelease
from nearstream.wire.dialects.whole import Completed

encode = msgspec.json.Encoder().encode
"""Of a string, the same bytes as Python's json with `ensure_ascii=False`."""
NO_TOKEN = Token(id=-1, text="", special=True)
_REASONS = {"length": b'"length"', "eos": b'"eos_token"', "stop": b'"stop_sequence"'}
# Since 0.35 the words are OpenAI's.
_LATER_REASONS = {"length": b'"length"', "eos": b'"stop"', "stop": b'"stop"'}


def reason(finish: Finish, release: LmiRelease) -> bytes:
    return (_LATER_REASONS if release.generation == 3 else _REASONS)[finish.reason]  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Shape:
    """Which of LMI's answers to give to `inputs`."""

    release: LmiRelease
    inputs: tuple[str, ...]
    details: bool = False
    full_text: bool = False
    """The answer's text begins with its input."""
    tgi: bool = False
    """TGI's names, and an array where TGI answers with one."""

    @property
    def later(self) -> bool:
        return self.release.generation == 3  # noqa: PLR2004 - a name, not a number

    def beginnings(self) -> list[str]:
        return list(self.inputs) if self.full_text else [""] * len(self.inputs)


def spoken(token: Token) -> str:
    """A special token has an id and no text."""
    return "" if token.special else token.text


def written(token: Token, shape: Shape) -> bytes:
    """One token as an object."""
    plain = b'{"id": %d, "text": %b, ' % (token.id, encode(spoken(token)))
    if shape.later:
        return b'%b"logprob": %b}' % (plain, number(token.logprob))
    if shape.tgi:
        special = b"true" if token.special else b"false"
        return b'%b"logprob": %b, "special": %b}' % (plain, number(token.logprob), special)
    mark = b', "special_token": true' if token.special else b""
    return b'%b"log_prob": %b%b}' % (plain, number(token.logprob), mark)


def stream_details(finish: Finish, shape: Shape, index: int) -> bytes:
    """What the last line of a stream says of the whole."""
    if shape.later:
        return b'{"finish_reason": %b, "seed": %b, "generated_tokens": %d, "input_length": %d}' % (
            reason(finish, shape.release),
            encode(finish.seed),
            finish.generated_tokens,
            finish.prompt_tokens,
        )
    return b"{%b}" % _counted(finish, shape, index)


def whole_details(answer: Completed, shape: Shape, index: int) -> bytes:
    """As above for an answer that is sent whole, with every token, also of the prompt where it was asked."""
    finish, tokens = answer.finish, answer.tokens
    listed = b", ".join([written(token, shape) for token in tokens])
    if shape.later:
        return (
            b'{"finish_reason": %b, "generated_tokens": %d, "seed": %b, "prefill": [%b], "tokens": [%b]}'
            % (
                reason(finish, shape.release),
                finish.generated_tokens,
                encode(finish.seed),
                b", ".join([_prefill(token) for token in answer.prefill]),
                listed,
            )
        )
    return b'{%b, "tokens": [%b]}' % (_counted(finish, shape, index), listed)


def _prefill(token: Token) -> bytes:
    return b'{"id": %d, "text": %b, "logprob": %b}' % (token.id, encode(token.text), number(token.logprob))


def _counted(finish: Finish, shape: Shape, index: int) -> bytes:
    return b'"finish_reason": %b, "generated_tokens": %d, "inputs": %b' % (
        reason(finish, shape.release),
        finish.generated_tokens,
        encode(shape.inputs[index]),
    )


def number(logprob: float | None) -> bytes:
    """Engines compute in single precision; more digits would be noise. JSON knows no infinity."""
    if logprob is None or not isfinite(logprob):
        return b"null"
    return repr(float(f"{logprob:.8g}")).encode()
