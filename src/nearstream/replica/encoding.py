"""Text to token ids: long texts in a thread, and no more of them than a prompt may have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from nearstream.text.tokenizer import Tokenizer

LONG_TEXT: Final = 8_000
"""Characters. Longer texts are tokenized in a thread, without the GIL, so that other answers go on."""
TOKEN_CHARACTERS: Final = 8
"""More than a token of most texts has."""
_SLACK: Final = 256
"""Tokens by which a part of a text may be cut otherwise than within the whole."""

Result = TypeVar("Result")


class TextEncoder:
    """Encodes prompts with one tokenizer; one long text at a time, for the engine needs the cores too."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._turn = asyncio.Semaphore(1)

    async def ids(
        self, text: str, *, add_special_tokens: bool, limit: int, keep_last: int | None = None
    ) -> list[int]:
        """Token ids of `text`, the `keep_last` last ones where that is given.

        A text of certainly more than `limit` tokens is not read to its end: the ids are those of its
        beginning, and more than `limit`. So the work grows with the limit, not with the text.
        """

        def encode(part: str) -> list[int]:
            return self._tokenizer.encode(part, add_special_tokens=add_special_tokens)

        if keep_last is not None:
            ids = await self.run(text, lambda: _from_the_end(encode, text, keep_last))
            return ids[-keep_last:]
        return await self.run(text, lambda: _from_the_start(encode, text, limit))

    async def run(self, text: str, work: Callable[[], Result]) -> Result:
        """What `work` makes of `text`, in a thread where that is long."""
        if len(text) <= LONG_TEXT:
            return work()
        async with self._turn:
            return await asyncio.to_thread(work)


def _from_the_start(encode: Callable[[str], list[int]], text: str, limit: int) -> list[int]:
    characters = (limit + _SLACK) * TOKEN_CHARACTERS
    while characters < len(text):
        ids = encode(text[:characters])
        if len(ids) > limit + _SLACK:
            return ids
        characters *= 4
    return encode(text)


def _from_the_end(encode: Callable[[str], list[int]], text: str, wanted: int) -> list[int]:
    characters = (wanted + _SLACK) * TOKEN_CHARACTERS
    while characters < len(text):
        ids = encode(text[-characters:])
        if len(ids) > wanted + _SLACK:
            return ids
        characters *= 4
    return encode(text)
