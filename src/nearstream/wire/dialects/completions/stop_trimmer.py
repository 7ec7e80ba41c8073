"""Cuts an answer's text at its first stop string, wherever tokens cut that string."""

from __future__ import annotations

from collections.abc import Sequence

from nearstream.core.generation import Token


class StopTrimmer:
    """Holds text back only while it may be the beginning of a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self._tokens: list[Token] = []
        self.stopped = False
        """A stop string was found; nothing after it is text of the answer."""

    def push(self, token: Token, *, last: bool) -> tuple[str, Sequence[Token]]:
        """The text that can be sent now, and the tokens it comes from, without special ones."""
        if self.stopped:
            return "", ()
        if not token.special:
            self._held += token.text
            self._tokens.append(token)
        text, kept = self._held, ""
        if self._stops:
            if (end := self._found()) is not None:
                self.stopped = True
                return self._held[:end], ()
            kept = "" if last else self._beginning()
            text = self._held[: len(self._held) - len(kept)]
        self._held = kept
        if kept and not text:
            return "", ()
        tokens, self._tokens = self._tokens, []
        return text, tokens

    def _found(self) -> int | None:
        """Where the stop string begins that is complete first."""
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        return min(found)[1] if found else None

    def _beginning(self) -> str:
        """The longest end of the held text with which a stop string begins."""
        longest = ""
        for stop in self._stops:
            at = self._held.find(stop[0])
            while at >= 0 and len(self._held) - at > len(longest):
                if stop.startswith(self._held[at:]):
                    longest = self._held[at:]
                    break
                at = self._held.find(stop[0], at + 1)
        return longest
