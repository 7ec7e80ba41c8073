"""Answers that are sent whole: deltas are collected until every answer of a call is complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearstream.core.errors import NearstreamError
from nearstream.core.generation import Delta, Finish, Token


@dataclass(frozen=True, slots=True)
class Completed:
    """One answer, complete."""

    tokens: tuple[Token, ...]
    finish: Finish
    prefill: tuple[Token, ...] = ()
    """The prompt's tokens, where their log-probabilities were asked for."""

    @property
    def text(self) -> str:
        """Of every token that is not special."""
        return "".join([token.text for token in self.tokens if not token.special])


class WholeEncoder:
    """An `Encoder` that sends nothing before `document` has written all of a call's answers as one body.

    `document` gets the answers in the order of their indexes; `failure` writes the body of an error.
    """

    def __init__(
        self,
        answers: int,
        document: Callable[[Sequence[Completed]], bytes],
        failure: Callable[[NearstreamError], bytes],
    ) -> None:
        self._tokens: list[list[Token]] = [[] for _ in range(answers)]
        self._prefills: list[tuple[Token, ...]] = [() for _ in range(answers)]
        self._finishes: dict[int, Finish] = {}
        self._document = document
        self._failure = failure

    def feed(self, delta: Delta) -> bytes:
        self._tokens[delta.index] += delta.tokens
        self._prefills[delta.index] += delta.prefill
        if delta.finish is None:
            return b""
        self._finishes[delta.index] = delta.finish
        if len(self._finishes) < len(self._tokens):
            return b""
        completed = enumerate(self._tokens)
        return self._document(
            [Completed(tuple(tokens), self._finishes[at], self._prefills[at]) for at, tokens in completed]
        )

    def fail(self, error: NearstreamError) -> bytes:
        return self._failure(error)
