"""The parts that streamed and whole completions are put together from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from string import ascii_letters, digits

import msgspec

from nearstream.core.generation import Finish, Token
from nearstream.core.ports import Identity
from nearstream.wire.framing import sse

encode = msgspec.json.Encoder().encode
CALLED = b'"tool_calls"'
_ID_CHARACTERS = ascii_letters + digits
DONE = sse.frame(b"[DONE]")


@dataclass(frozen=True, slots=True)
class Form:
    """Which of the answers to give. `top_tokens` names the chosen token as its own one alternative."""

    chat: bool
    choices: int = 1
    per_prompt: int = 1
    """Choices that continue the same prompt, whose tokens count once."""
    include_usage: bool = False
    logprobs: bool = False
    top_tokens: bool = False
    tools: bool = False
    words: bool = True
    """With `tools`: the model may answer in words."""
    echo: bool = False
    """The text begins with the prompt's, which the first delta brings."""
    stops: tuple[str, ...] = ()
    """The stop strings that were asked for."""


class Usage:
    """Counts the choices that have ended, and their tokens."""

    def __init__(self, form: Form) -> None:
        self._unfinished = form.choices
        self._per_prompt = form.per_prompt
        self._prompt_tokens = 0
        self._generated_tokens = 0

    def ended(self, index: int, finish: Finish) -> bool:
        """Count a choice; whether it was the last one."""
        self._unfinished -= 1
        self._generated_tokens += finish.generated_tokens
        if index % self._per_prompt == 0:
            self._prompt_tokens += finish.prompt_tokens
        return not self._unfinished

    @property
    def document(self) -> bytes:
        prompt, generated = self._prompt_tokens, self._generated_tokens
        counts = b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}'
        return counts % (prompt, generated, prompt + generated)


def opening(kind: str, identity: Identity) -> bytes:
    """What every object begins with, without its closing brace."""
    return b'{"object":%b,"id":%b,"created":%d,"model":%b,"system_fingerprint":%b' % (
        encode(kind),
        encode(identity.id),
        identity.created,
        encode(identity.model),
        encode(identity.system_fingerprint),
    )


def call_id(identity: Identity, index: int, call: int) -> bytes:
    """Of a call of a choice: nine letters and digits, for Mistral's templates take nothing else."""
    digest = int.from_bytes(sha256(f"{identity.id}/{index}/{call}".encode()).digest())
    return encode("".join([_ID_CHARACTERS[digest // 62**place % 62] for place in range(9)]))


def chat_logprobs(tokens: Sequence[Token], form: Form, *, with_bytes: bool) -> bytes:
    """`top_logprobs` beside each token."""
    return b'{"content":[%b]}' % b",".join([_logprob(token, form, with_bytes=with_bytes) for token in tokens])


def text_logprobs(tokens: Sequence[Token], form: Form, offset: int, *, prefill: int = 0) -> bytes:
    """The older form, four lists of one length; `offset` is the first token's, in characters.

    Of the first `prefill` tokens, the prompt's, no alternative is known.
    """
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += 0 if token.special else len(token.text)
    texts = [encode(token.text) for token in tokens]
    values = [_number(token.logprob) for token in tokens]
    tops = [b"{%b:%b}" % pair for pair in zip(texts, values, strict=True)]
    tops[:prefill] = [b"null"] * prefill
    return b'{"tokens":[%b],"token_logprobs":[%b],"top_logprobs":%b,"text_offset":%b}' % (
        b",".join(texts),
        b",".join(values),
        b"[%b]" % b",".join(tops) if form.top_tokens else b"null",
        encode(offsets),
    )


def _logprob(token: Token, form: Form, *, with_bytes: bool) -> bytes:
    plain = b'"token":%b,"logprob":%b' % (encode(token.text), _number(token.logprob))
    if with_bytes:
        plain += b',"bytes":%b' % encode(list(token.text.encode()))
    return b'{%b,"top_logprobs":[%b]}' % (plain, b"{%b}" % plain if form.top_tokens else b"")


def _number(logprob: float | None) -> bytes:
    """Engines compute in single precision; more digits would be noise."""
    return b"null" if logprob is None else encode(float(f"{logprob:.8g}"))
