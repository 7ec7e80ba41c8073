"""What of an answer's text a caller sees: not its stop string, and control tokens where asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import Delta, Token
from nearstream.core.ports import Encoder, Payload
from nearstream.wire.dialects.completions.stop_trimmer import StopTrimmer
from nearstream.wire.dialects.lmi.fragments import NO_TOKEN


@dataclass(frozen=True, slots=True)
class Visible:
    """`trimmed`: stop strings that are cut from the text. `special`: control tokens have text, the one that
    ends an answer only with `ending`."""

    trimmed: tuple[str, ...] = ()
    special: bool = False
    ending: bool = False

    def encoder(self, encoder: Encoder, *, answers: int) -> Encoder:
        """`encoder`, given what is to be seen."""
        return VisibleEncoder(encoder, self, answers) if self.trimmed or self.special else encoder


class VisibleEncoder:
    """Each token keeps its place; its text may come with a later one, while it may begin a stop string."""

    def __init__(self, encoder: Encoder, visible: Visible, answers: int) -> None:
        self._encoder = encoder
        self._visible = visible
        self._trimmers = [StopTrimmer(visible.trimmed) for _ in range(answers)]

    def feed(self, delta: Delta) -> Payload:
        return self._encoder.feed(replace(delta, tokens=tuple(self._seen(delta))))

    def fail(self, error: NearstreamError) -> Payload:
        return self._encoder.fail(error)

    def _seen(self, delta: Delta) -> Iterator[Token]:
        trimmer, finish = self._trimmers[delta.index], delta.finish
        ends = finish is not None and finish.reason == "eos"
        tokens: Sequence[Token] = delta.tokens
        if finish is not None and not tokens:
            tokens = (NO_TOKEN,)
        for at, token in enumerate(tokens):
            last = finish is not None and at == len(tokens) - 1
            given = self._with_text(token, ending=last and ends)
            text, _ = trimmer.push(given, last=last)
            if token is not NO_TOKEN or text:
                yield replace(given, text=text, special=given.special and not text)

    def _with_text(self, token: Token, *, ending: bool) -> Token:
        """A control token as text, where that is asked for."""
        shown = self._visible.special and token.text and (self._visible.ending or not ending)
        return replace(token, special=False) if token.special and shown else token
